"""Messages between a worker's process and its pool: plain data, one JSON object per line of a pipe."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.jobs.pool import Call, Order

Message = Mapping[str, Any]
"""From the pool: ``call``, ``stop``, ``give_way``. From the worker: ``ready`` (the model) or ``unusable`` (a
problem) at first; then for each call any number of ``told`` ([frames done, frames in all]) and one of
``answer``, ``failed`` (a problem), ``died`` (how the process did that decoded its file), ``stopped``."""


def to_line(message: Message) -> bytes:
    """Return a message as one line, its end included."""
    return json.dumps(message).encode() + b"\n"


def from_line(line: bytes) -> Message:
    """Return the message of a line. Raises ValueError for anything else."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message


def from_call(call: Call) -> dict[str, Any]:
    """Return a call as plain data."""
    return {"method": call.method, "order": asdict(call.order), "segments": list(call.segments)}


def to_call(plain: Message) -> Call:
    """Return the call that :func:`from_call` wrote down."""
    return Call(plain["method"], Order(**plain["order"]), tuple(plain["segments"]))
