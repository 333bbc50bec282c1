"""Prometheus metrics of jobs that have ended."""

from functools import partial
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.jobs.job import Ended, JobKind, JobState

JOB_SECONDS: Final = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
REAL_TIME_FACTORS: Final = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 10, 20, 40, 80)
FAULTS: Final = ("caller", "service")
"""Whose fault a failed job is: its problem's status is 4xx or 5xx."""


class JobMetrics:
    """How many jobs ended and how, what they made, and how long it took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, labelnames=["kind"], buckets=JOB_SECONDS, registry=registry)
        self._ended = counter("mouthpiece_jobs_ended", "Jobs that ended.", ["kind", "state"])
        said = "Jobs that failed, by whose fault it was: the caller's or the service's."
        self._failed = counter("mouthpiece_jobs_failed", said, ["kind", "fault"])
        # There at 0: in a series that begins with 1 Prometheus sees no increase, and an alert not the first.
        for kind, fault in product(JobKind, FAULTS):
            self._failed.labels(kind, fault)
        said = "How long workers were busy with a job that succeeded."
        self._work = histogram("mouthpiece_job_duration_seconds", said)
        said = "Time from a job's submission to its first turn."
        self._wait = histogram("mouthpiece_job_wait_seconds", said)
        self._frames = counter("mouthpiece_frames", "Frames made.", ["kind"])
        said = "Seconds of media produced; divided by the job duration, this is the real-time factor."
        self._media = counter("mouthpiece_media_seconds", said, ["kind"])
        said = "Seconds of media a job produced per second of work."
        self._factor = histogram("mouthpiece_job_real_time_factor", said, buckets=REAL_TIME_FACTORS)
        said = "How long each stage of rendering was busy; stages overlap."
        self._stages = counter("mouthpiece_render_stage_seconds", said, ["stage"])

    def ended(self, ended: Ended) -> None:
        """Count a job that has ended."""
        kind = ended.job.kind
        self._ended.labels(kind, ended.job.state).inc()
        if error := ended.job.error:
            self._failed.labels(kind, "service" if error["status"] >= 500 else "caller").inc()
        self._wait.labels(kind).observe(ended.wait_seconds)
        if ended.job.state is JobState.SUCCEEDED:
            self._work.labels(kind).observe(ended.work_seconds)
            self._frames.labels(kind).inc(ended.frames)
            self._media.labels(kind).inc(ended.media_seconds)
            if ended.work_seconds > 0:
                self._factor.labels(kind).observe(ended.media_seconds / ended.work_seconds)
        for stage, seconds in ended.stage_seconds.items():
            self._stages.labels(stage).inc(seconds)
