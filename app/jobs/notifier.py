"""All who wait for a change of one job, woken a few at a time.

So nobody else who asks for something waits until hundreds that follow one job have been served.
"""

import asyncio
from collections import deque
from typing import Final

AT_ONCE: Final = 16
"""How many are woken at a time,"""
PAUSE_SECONDS: Final = 0.01
"""and after which pause the next ones are. To write an event takes a tenth of a millisecond."""


class Notifier:
    """Belongs to the event loop; see the module."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, None] = {}
        """Those who have come since the last change."""
        self._due: deque[asyncio.Event] = deque()
        """Those who are woken by and by."""

    async def wait(self) -> None:
        """Wait for the next change."""
        changed = asyncio.Event()
        self._waiting[changed] = None
        try:
            await changed.wait()
        finally:  # who goes away is not waited for
            self._waiting.pop(changed, None)

    def notify(self) -> None:
        """Wake all who wait now: some at once, the others after a pause."""
        woken = not self._due
        self._due.extend(self._waiting)
        self._waiting = {}
        if woken:
            self._wake()

    def _wake(self) -> None:
        """Wake some; the next ones only once the loop has got round to it, so not together if it is late."""
        for _ in range(min(AT_ONCE, len(self._due))):
            self._due.popleft().set()
        if self._due:
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._wake)
