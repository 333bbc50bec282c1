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
        self._waiting: dict[asyncio.Event, None] = {}
        """Those who have come since the last change."""
        self._last = 0.0
        """When the last of those is woken who waited for the change before."""

    async def change(self) -> None:
        """Wait for the next change."""
        changed = asyncio.Event()
        self._waiting[changed] = None
        try:
            await changed.wait()
        finally:  # who goes away is not waited for
            self._waiting.pop(changed, None)

    def tell(self) -> None:
        """Wake all who wait now: some at once, the others after a pause."""
        loop = asyncio.get_running_loop()
        first = max(self._last, loop.time())
        for place, changed in enumerate(self._waiting):
            self._last = first + place // AT_ONCE * PAUSE_SECONDS
            loop.call_at(self._last, changed.set)
        self._waiting = {}
