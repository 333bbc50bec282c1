"""What the metrics learn about a finished job."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.jobs.job import Job, utc_now


@dataclass(frozen=True)
class Ended:
    """A job has ended."""

    job: Job
    """Its record, as it ended."""
    work_seconds: float = 0.0
    """How long workers were busy with it since the service started; those at one time count once."""
    frames: int = 0
    """Frames made in that time."""
    media_seconds: float = 0.0
    """Length of what was made, seconds."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage of a render was busy."""

    @property
    def wait_seconds(self) -> float:
        """From submission to the first call; clocks may have been set meanwhile."""
        begun = self.job.started_at or utc_now()
        return max(0.0, (begun - self.job.created_at).total_seconds())
