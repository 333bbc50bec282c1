"""What the render process tells the web process over a pipe: one JSON object a line, named by ``event``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

from app.errors import Problem


@dataclass(frozen=True)
class Ready:
    """The model is loaded and has passed its warm-up."""

    event: ClassVar = "ready"
    model: Mapping[str, Any]
    """What is loaded and how it runs: the fields of ``ModelInfo``."""


@dataclass(frozen=True)
class Unusable:
    """The model cannot be loaded, and trying again would not help."""

    event: ClassVar = "unusable"
    problem: Problem


@dataclass(frozen=True)
class Beat:
    """The process is alive and getting on; said at least once a second, whether it works or waits."""

    event: ClassVar = "beat"


@dataclass(frozen=True)
class Ended:
    """A job has ended."""

    event: ClassVar = "ended"
    job_id: str
    kind: str
    state: str
    wait_seconds: float
    """From submission to the first claim."""
    work_seconds: float
    """What the last attempt took."""
    frames: int = 0
    """Frames made in the last attempt."""
    media_seconds: float = 0.0
    """Length of what was made, seconds."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage of a render was busy, in the last attempt."""


Message = Ready | Unusable | Beat | Ended

_KINDS: Final = {kind.event: kind for kind in (Ready, Unusable, Beat, Ended)}


def to_line(message: Message) -> str:
    """Return the message as one line of JSON, its end included."""
    return json.dumps({"event": message.event} | asdict(message)) + "\n"


def from_line(line: str | bytes) -> Message:
    """Return the message that :func:`to_line` wrote. Raises ValueError, KeyError or TypeError for others."""
    plain = json.loads(line)
    message: Message = _KINDS[plain.pop("event")](**plain)
    return message
