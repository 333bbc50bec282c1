"""Whose turn it is when a worker is idle: between segments, not between jobs.

Clients that wait or watch go before background jobs, but background jobs are never held back for long.
Within each group: started and short first; then API keys in turn; then short before long; then the order of
submission, or, for long renders that somebody watches, the longest wait since the last turn.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from app.errors import QueueFull
from app.jobs.open_job import OpenJob
from app.jobs.pool import Call

Rank = tuple[int, bool, int, bool, int, int]
"""The smaller, the sooner."""

PATIENCE: Final = 8
"""After so many turns of others in a row, who is ready for one and was passed over has it."""


@dataclass(frozen=True)
class Limits:
    """The limits, in all and of one API key."""

    attempts: int = 3
    running_per_key: int = 4
    queued: int = 64
    queued_per_key: int = 32

    def check(self, owners: Sequence[str | None], owner: str | None) -> None:
        """Raise ``QueueFull`` if another job of ``owner`` cannot wait beside those of ``owners``."""
        if len(owners) >= self.queued:
            raise QueueFull(f"As many jobs are queued as may be ({self.queued}); try again in a few seconds.")
        if owner is not None and owners.count(owner) >= self.queued_per_key:
            raise QueueFull(
                f"As many jobs of this API key are queued as may be ({self.queued_per_key}); try again in a "
                "few seconds."
            )


class Turns:
    """Remembers who had turns."""

    def __init__(self, max_running_per_key: int) -> None:
        self._most = max_running_per_key
        self._count = 0
        self._keys: dict[str | None, int] = {}
        self._batch = 0

    def served(self, job: OpenJob) -> None:
        """Note that a job has a turn."""
        self._count += 1
        job.served = self._keys[job.job.owner] = self._count
        if not job.job.waited_for:
            self._batch = self._count

    def wanting(self, jobs: Collection[OpenJob]) -> list[OpenJob]:
        """Return the jobs that a worker could do something for and that may have a turn.

        Of one key at most so many are in progress at a time, and one of them at a time makes an avatar.
        """
        begun = [job for job in jobs if job.begun]
        under_way = Counter(job.job.owner for job in begun)
        making = {job.job.avatar_id for job in begun for c in job.running if c.method == "build_avatar"}
        return [
            job
            for job in jobs
            if job.job.owner is None or job.begun or under_way[job.job.owner] < self._most
            if (method := job.next_method) and not (method == "build_avatar" and job.job.avatar_id in making)
        ]

    def to_shorten(self, jobs: Collection[OpenJob], best: OpenJob | None, free: int) -> Call | None:
        """Return the call that is to end with its segment: for the next turn's owner, or to be shared."""
        if best is None:
            return next(filter(None, (job.splits() for job in jobs)), None) if free > 0 else None
        encoding = {job: call for job in jobs for call in job.running if call.method == "encode"}
        lesser = [job for job in encoding if job is not best and self.outranks(best, job)]
        return encoding[max(lesser, key=self.rank)] if lesser else None

    def outranks(self, newcomer: OpenJob, running: OpenJob) -> bool:
        """Return whether ``running`` is to give way to ``newcomer`` at the end of its segment."""
        if self._class(newcomer) < self._class(running):
            return True
        return running.long and self.rank(newcomer) < self.rank(running)

    def rank(self, job: OpenJob) -> Rank:
        """Return a job's place in the order of turns."""
        long, key = job.long, self._keys.get(job.job.owner, 0)
        served = job.served if long and job.job.waited_for else 0
        return self._class(job), long or not job.begun, key, long, served, job.job.number

    def _class(self, job: OpenJob) -> int:
        if job.begun and job.long and self._count - job.served > PATIENCE:
            return 0
        if job.job.waited_for or self._count - self._batch > PATIENCE:
            return 1
        return 2
