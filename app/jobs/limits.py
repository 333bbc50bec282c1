"""How often a job is tried, and how many may wait or work at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import QueueFull


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
            raise QueueFull(f"{len(owners)} jobs are queued, which is the limit; try again in a few seconds.")
        if owner is not None and owners.count(owner) >= self.queued_per_key:
            raise QueueFull(
                f"{self.queued_per_key} jobs of this API key are queued, the limit for one; try again in a "
                "few seconds."
            )
