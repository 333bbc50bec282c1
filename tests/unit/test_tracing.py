import pytest

from app.tracing import Span, about

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_request_goes_on_with_its_callers_trace() -> None:
    span = Span.of_request(CALLER)
    assert (span.trace_id, span.parent_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert span.sampled
    assert span.span_id != span.parent_id
    assert Span.read(span.traceparent) == Span(span.trace_id, span.span_id)
    assert not Span.of_request(CALLER[:-1] + "0").sampled
    assert not Span.read(Span.of_request(CALLER[:-1] + "0").traceparent).sampled


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert Span.of_request("01" + CALLER[2:] + "-more").trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "words",
        CALLER.upper(),
        CALLER + "-more",
        "ff" + CALLER[2:],
        "00-" + "0" * 32 + CALLER[35:],
        CALLER[:36] + "0" * 16 + "-01",
        CALLER[:-1],
        CALLER + "\n",
    ],
)
def test_what_is_no_trace_begins_a_new_one(header: str | None) -> None:
    span, other = Span.of_request(header), Span.of_request(header)
    assert span.parent_id is None
    assert span.trace_id != other.trace_id
    assert Span.of_request(span.traceparent).trace_id == span.trace_id


def test_a_part_of_a_span_belongs_to_its_trace() -> None:
    span = Span.of_request(CALLER)
    part = span.child()
    assert (part.trace_id, part.parent_id) == (span.trace_id, span.span_id)
    assert about("one", span.traceparent) == {"job": "one", "trace_id": span.trace_id}
    assert about("one", None) == {"job": "one"}
