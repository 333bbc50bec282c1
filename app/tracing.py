"""Which trace work belongs to, by W3C Trace Context (https://www.w3.org/TR/trace-context/)."""

import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

_FORM: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 0x01


@dataclass(frozen=True)
class Span:
    """A stretch of work, and the one that it is part of."""

    trace_id: str
    """32 hexadecimal digits, the same for all that comes of one request."""
    span_id: str
    """16 hexadecimal digits."""
    parent_id: str | None = None
    """The span that it is part of; None if it is the first of its trace."""
    sampled: bool = True
    """Whether it is to be recorded; the caller decides."""

    @classmethod
    def of_request(cls, traceparent: str | None) -> Self:
        """Return a span of the trace that a caller's header names; of a new one if that is not valid."""
        match = _FORM.fullmatch(traceparent or "")
        if match is None or (match[1] == "00" and match[5]) or not (int(match[2], 16) and int(match[3], 16)):
            return cls(secrets.token_hex(16), secrets.token_hex(8))
        return cls(match[2], secrets.token_hex(8), match[3], bool(int(match[4], 16) & _SAMPLED))

    @classmethod
    def read(cls, traceparent: str) -> Self:
        """Return the span that :attr:`traceparent` wrote down."""
        _, trace_id, span_id, flags = traceparent.split("-")
        return cls(trace_id, span_id, sampled=bool(int(flags, 16) & _SAMPLED))

    @property
    def traceparent(self) -> str:
        """The span as a header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    def child(self) -> "Span":
        """Return a new span that is part of this one."""
        return Span(self.trace_id, secrets.token_hex(8), self.span_id, self.sampled)


def about(job_id: str, traceparent: str | None) -> dict[str, str]:
    """Return by what the log lines of a job are found: its id, and its trace's."""
    named = {"job": job_id}
    return named | {"trace_id": Span.read(traceparent).trace_id} if traceparent else named
