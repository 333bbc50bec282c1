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
        self._groups: list[_Group] = []
        """Those who have come since the last change."""
        self._last = 0.0
        """When the last of those is woken who waited for the change before."""

    async def change(self) -> None:
        """Wait for the next change."""
        if not self._groups or self._groups[-1].size >= AT_ONCE:
            self._groups.append(_Group())
        group = self._groups[-1]
        group.size += 1
        try:
            await group.wait()
        finally:  # who goes away is not waited for
            group.size -= 1

    def tell(self) -> None:
        """Wake all who wait now: some at once, the others after a pause."""
        loop = asyncio.get_running_loop()
        first = max(self._last, loop.time())
        for place, group in enumerate(group for group in self._groups if group.size):
            self._last = first + place * PAUSE_SECONDS
            loop.call_at(self._last, group.set)
        self._groups = []


class _Group(asyncio.Event):
    """At most so many who are woken together."""

    size = 0
