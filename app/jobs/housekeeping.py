"""Frees the volumes: leftovers of crashes at start-up, expired jobs later."""

from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from anyio import to_thread

from app.avatars.store import AvatarStore
from app.errors import AvatarNotFound, StorageReadOnly
from app.jobs.files import DataFolder
from app.jobs.forever import forever
from app.jobs.job import utc_now
from app.jobs.table import JobTable

log = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE: Final = 60.0
"""Seconds between two looks for expired jobs, at most."""


class Housekeeper:
    """Sweeps the data folder and the avatars; the service's lock on the data folder must be held."""

    def __init__(
        self, table: JobTable, files: DataFolder, avatars: AvatarStore, *, job_ttl: float, avatar_ttl: float
    ) -> None:
        """Jobs that have ended, and implicit avatars that are not used, are kept so many seconds."""
        self._table = table
        self._files = files
        self._avatars = avatars
        self._job_ttl = timedelta(seconds=job_ttl)
        self._avatar_ttl = timedelta(seconds=avatar_ttl)

    def sweep(self) -> None:
        """Delete what a crash has left. For the start, before any upload can be in progress.

        No job's files if there is no job on record: it may be another database that knows them.
        """
        folders = self._files.sweep(self._table.ids_with_files()) if self._table.counts() else 0
        avatars = self._avatars.sweep()
        if folders or avatars:
            log.info("leftovers_swept", job_folders=folders, unfinished_avatars=avatars)

    def expire(self) -> None:
        """Delete jobs that ended too long ago, their files, and implicit avatars that went unused as long.

        And what workers have left that died over an avatar. Raises ``StorageReadOnly``, at last.
        """
        for job in self._table.expire(utc_now() - self._job_ttl):
            self._files.forget(job.id)
            log.info("job_expired", job=job.id)
        refused: StorageReadOnly | None = None
        for avatar_id in self._avatars.unused(utc_now() - self._avatar_ttl):
            if avatar_id not in {job.avatar_id for job in self._table.open_jobs()}:
                try:
                    self._avatars.delete(avatar_id)
                except AvatarNotFound:  # deleted meanwhile
                    continue
                except StorageReadOnly as error:  # said when all that can be done is done
                    refused = error
                else:
                    log.info("avatar_expired", avatar=avatar_id)
        self._avatars.sweep()
        if refused:
            raise refused

    async def run(self) -> None:
        """Expire what has had its time again and again, until canceled."""
        pause = min(self._job_ttl, self._avatar_ttl).total_seconds() / 2
        await forever(
            "housekeeper", partial(to_thread.run_sync, self.expire), every=min(LONGEST_PAUSE, pause)
        )
