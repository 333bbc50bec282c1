"""All who wait for a change of one job, woken a few at a time.

So nobody else who asks for something waits until hundreds that follow one job have been served.
"""

import asyncio
from typing import Final

AT_ONCE: Final = 16
"""How many are woken at a time,"""
PAUSE_SECONDS: Final = 0.01
"""and after which pause the next ones are. To write an event takes a tenth of a millisecond."""


class Crowd:
    """Belongs to the event loop; see the module."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._due: dict[asyncio.Future[None], None] = {}
        """Those who waited when the last change came, and are still to be woken, in order."""
        self._pausing = False

    async def change(self) -> None:
        """Wait for the next change."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            await turn
        finally:
            self._waiting.pop(turn, None)
            self._due.pop(turn, None)

    def tell(self) -> None:
        """Wake all who wait now: some at once, the others after a pause."""
        self._due |= self._waiting
        self._waiting = {}
        if self._due and not self._pausing:
            self._wake_some()

    def _wake_some(self) -> None:
        for turn in list(self._due)[:AT_ONCE]:
            del self._due[turn]
            if not turn.done():
                turn.set_result(None)
        self._pausing = bool(self._due)
        if self._pausing:
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._wake_some)
