"""Work that goes on for as long as the service lives, whatever goes wrong in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.errors import MouthpieceError

log = structlog.stdlib.get_logger(__name__)

AGAIN_SECONDS: Final = 1.0
"""How long a step that failed is left alone, at least."""

_FORESEEN: Final = (SQLAlchemyError, MouthpieceError, OSError)


async def forever(
    name: str,
    step: Callable[[], Awaitable[object]],
    *,
    every: float = 0.0,
    tell: Callable[[Exception | None], object] = lambda error: None,
) -> None:
    """Take a step again and again, with a pause of ``every`` seconds after it, until canceled.

    ``tell`` hears of the error of each step that fails, and of None after one that does not. The error is
    logged, unless it is that of the step before.
    """
    before = ""
    while True:
        try:
            await step()
        except Exception as error:
            tell(error)
            if (now := repr(error)) != before:
                unforeseen = not isinstance(error, _FORESEEN)
                log.error("task_failed", task=name, error=str(error), exc_info=unforeseen)
            before = now
            await asyncio.sleep(max(every, AGAIN_SECONDS))
        else:
            tell(None)
            before = ""
            await asyncio.sleep(every)
