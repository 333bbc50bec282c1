"""What was measured, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass(frozen=True)
class Run:
    """One render, or one registration, of ``media_seconds`` of video."""

    media_seconds: float
    wall_seconds: float
    cpu_seconds: float
    """User and system time of all processes that took part."""
    first_picture_seconds: float | None = None
    """From the request to the first bytes of encoded pictures."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds that each stage was busy; ours overlap."""
    peaks: dict[str, float] = field(default_factory=dict)
    """Largest resident size of each process, megabytes."""


@dataclass(frozen=True)
class Crowd:
    """Renders of ``media_seconds`` each, asked for at the same time; how long each one took."""

    media_seconds: float
    wall_seconds: list[float]

    @property
    def p50(self) -> float:
        """The median wait, seconds."""
        return median(self.wall_seconds)

    @property
    def p95(self) -> float:
        """What 95 of 100 callers would wait at most, seconds."""
        return quantiles(self.wall_seconds, n=20, method="inclusive")[-1]


@dataclass
class Series:
    """The runs of one pipeline in one scenario, one a round."""

    scenario: str
    pipeline: str
    runs: list[Run] = field(default_factory=list)

    @property
    def real_time(self) -> float:
        """Median of seconds of video made a second."""
        return median(run.media_seconds / run.wall_seconds for run in self.runs)

    @property
    def cpu(self) -> float:
        """Median of CPU seconds spent on a second of video."""
        return median(run.cpu_seconds / run.media_seconds for run in self.runs)

    @property
    def first_picture(self) -> float | None:
        """Median of the wait for the first picture, seconds; None if it does not stream."""
        times = [run.first_picture_seconds for run in self.runs if run.first_picture_seconds is not None]
        return median(times) if times else None

    @property
    def stage_shares(self) -> dict[str, float]:
        """Median share of each stage in the stages' sum."""
        names = {name for run in self.runs for name in run.stages}
        return {name: median(_share(run, name) for run in self.runs) for name in sorted(names)}

    @property
    def peak(self) -> float:
        """Largest resident size of any one process, megabytes."""
        return max((size for run in self.runs for size in run.peaks.values()), default=0.0)


def times_faster(ours: Sequence[Run], other: Sequence[Run]) -> float:
    """Return the median, over rounds, of how many times the wall time of ``ours`` the other took."""
    return median(b.wall_seconds / a.wall_seconds for a, b in zip(ours, other, strict=True))


def times_cheaper(ours: Sequence[Run], other: Sequence[Run]) -> float:
    """Return the median, over rounds, of how many times the CPU seconds of ``ours`` the other took."""
    return median(b.cpu_seconds / a.cpu_seconds for a, b in zip(ours, other, strict=True))


def _share(run: Run, name: str) -> float:
    return run.stages.get(name, 0.0) / (sum(run.stages.values()) or 1.0)
