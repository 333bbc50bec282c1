"""Threads for what volumes, the job table and name servers may hold up: what hangs holds up its own kind.

The event loop itself waits for none of them, and what else runs in threads has the event loop's own.
"""

from functools import partial
from typing import Final

from anyio import CapacityLimiter, to_thread

UPLOADS: Final = CapacityLimiter(16)
"""For what callers send, and for deleting the files of jobs, so that no reader holds up the end of a job."""
RESULTS: Final = CapacityLimiter(32)
"""For what is read from the volumes and sent out, and for the avatars."""

on_uploads: Final = partial(to_thread.run_sync, limiter=UPLOADS)
on_results: Final = partial(to_thread.run_sync, limiter=RESULTS)
on_table: Final = partial(to_thread.run_sync, limiter=CapacityLimiter(16))
"""Reads and changes the job table."""
on_names: Final = partial(to_thread.run_sync, limiter=CapacityLimiter(32), abandon_on_cancel=True)
"""Asks for the addresses of names; an answer that nobody waits for any more is not waited for."""
on_scrape: Final = partial(to_thread.run_sync, limiter=CapacityLimiter(1))
"""Gathers the metrics, which look at the volumes, too."""
