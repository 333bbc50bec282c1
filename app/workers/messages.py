"""Messages between a worker's process and its pool: plain data, one JSON object per line of a pipe."""

import json
from collections.abc import Mapping
from typing import Any

Message = Mapping[str, Any]
"""From the pool: ``call`` (the fields of a :class:`app.jobs.pool.Call`), ``stop``, ``give_way``; and for what
runs the worker, ``end`` (``refused`` or ``given up``). From the worker: ``ready`` (the model) or ``unusable``
(a problem) at first; then for each call any number of ``told`` ([frames done, frames in all]) and one of
``answer``, ``failed`` (a problem), ``left`` or ``died`` (how; ``stalled``: without progress). From what runs
the worker: ``alive``, again and again, if that is Ray's driver; ``leaving``, if it is to take no other call;
and ``gone``, with ``left`` or ``died``, if its process is."""


def to_line(message: Message) -> bytes:
    """Return a message as one line, its end included."""
    return json.dumps(message).encode() + b"\n"


def from_line(line: bytes) -> Message:
    """Return the message of a line. Raises ValueError for anything else."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message
