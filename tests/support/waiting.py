"""Waiting for what another process does, and running a module of these tests as another process."""

import asyncio
import inspect
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 60.0
"""Seconds after which a test gives up; far above what anything takes on a machine that others use as well."""


async def until(condition: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Return once the condition holds; fail if it does not in time."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


async def eventually(ask: Callable[[], Awaitable[T | None]], deadline: float = DEADLINE) -> T:
    """Return the first answer that is true; fail if there is none in time."""
    end = time.monotonic() + deadline
    while not (answer := await ask()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
    return answer


def script(thing: type) -> tuple[str, str]:
    """Return the command that runs the module of ``thing``."""
    return sys.executable, inspect.getfile(thing)
