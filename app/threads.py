"""Threads for what volumes, the job table and name servers may hold up: what hangs holds up its own kind.

The event loop itself waits for none of them, and what else runs in threads has the event loop's own.
"""

from functools import partial
from typing import Final, Self

from anyio import CapacityLimiter, WouldBlock, fail_after, to_thread

from app.errors import Unavailable

WAIT_SECONDS: Final = 10.0
"""How long anyone waits for a thread while all of a lane are held up."""


class Lane(CapacityLimiter):
    """So many threads for one thing; raises ``Unavailable`` for those who wait for one in vain."""

    def __new__(cls, threads: int, what: str) -> Self:  # noqa: D102 - anyio's own would make another class
        return object.__new__(cls)

    def __init__(self, threads: int, what: str) -> None:
        """``what`` is what they are for, as those are told who get none."""
        self.patient = CapacityLimiter(threads)
        """The same threads, for what must not be left undone: it waits for one for as long as that takes."""
        self._what = what

    async def __aenter__(self) -> None:
        try:
            self.patient.acquire_nowait()
        except WouldBlock:
            try:
                with fail_after(WAIT_SECONDS):
                    await self.patient.acquire()
            except TimeoutError:
                raise Unavailable(f"{self._what} does not respond; try again in a few seconds.") from None

    async def __aexit__(self, *error: object) -> None:
        self.patient.release()


UPLOADS: Final = Lane(16, "The data volume")
"""For what callers send, and for deleting the files of jobs, so that no reader holds up the end of a job."""
RESULTS: Final = Lane(32, "The data volume")
"""For what is read from the data volume and sent out."""
AVATARS: Final = Lane(32, "The avatars' volume")
"""For the avatars."""

on_uploads: Final = partial(to_thread.run_sync, limiter=UPLOADS)
on_results: Final = partial(to_thread.run_sync, limiter=RESULTS)
tidy_uploads: Final = partial(to_thread.run_sync, limiter=UPLOADS.patient)
tidy_results: Final = partial(to_thread.run_sync, limiter=RESULTS.patient)
"""Close and delete files there."""
on_avatars: Final = partial(to_thread.run_sync, limiter=AVATARS)
on_table: Final = partial(to_thread.run_sync, limiter=Lane(16, "The job database"))
"""Reads and changes the job table."""
on_names: Final = partial(to_thread.run_sync, limiter=CapacityLimiter(32), abandon_on_cancel=True)
"""Asks for the addresses of names; an answer that nobody waits for any more is not waited for."""
on_scrape: Final = partial(to_thread.run_sync, limiter=Lane(1, "A volume, or the job database,"))
"""Gathers the metrics, which look at the volumes, too."""
