import pytest

from app.errors import NoFace
from app.jobs.messages import Beat, Ended, Message, Ready, Unusable, from_line, to_line


@pytest.mark.parametrize(
    "message",
    [
        Ready({"name": "model", "face_size": 96}),
        Unusable(NoFace("None.").problem()),
        Beat(),
        Ended("id", "render", "succeeded", 0.1, 2.5, 50, 2.0, {"model": 1.5}),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    line = to_line(message)
    assert line.count("\n") == 1
    assert from_line(line.encode()) == message


@pytest.mark.parametrize("line", ["", "text", '{"event": "unknown"}', '{"event": "beat", "more": 1}', "[]"])
def test_what_is_no_message_is_refused(line: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_line(line)
