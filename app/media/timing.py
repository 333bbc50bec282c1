"""Exact frame rates and frame counts: a rate is a fraction, and time is counted in frames."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

MIN_FPS: Final = Fraction(1)
MAX_FPS: Final = Fraction(120)
"""The frame rates that are read and written; a source outside of them is resampled."""

LONG_SECONDS: Final = 60.0
"""A render of more is long: it is made by all workers that are free, and gives way to others."""
LEAST_SHARE_SECONDS: Final = 5.0
"""The least that one of several workers is given of it at a time, and so the length of its last segments."""

_BROADCAST: Final = frozenset({"mpegts", "mpeg", "ogg"})
_MOST_IN_BROADCAST: Final = Fraction(10)
"""In these formats a longer jump is another clock, not a pause; so FFmpeg itself has it."""

_NTSC_RATES: Final = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))
_NTSC_TOLERANCE: Final = Fraction(1, 5000)
"""23.976, 23.98, 29.97 and 59.94 stand for 24000/1001, 30000/1001 and 60000/1001; 59.98 does not."""

_MAX_DENOMINATOR: Final = 1001

_FALLBACK_FPS: Final = Fraction(25)
_SAME_RATE: Final = Fraction(1, 50)
"""A nominal rate this near to the measured one is the rate that was meant,"""
_CAMERA_FPS: Final = Fraction(30)
"""and so is a higher one up to that of a common camera."""


def exact_fps(fps: float | Fraction) -> Fraction:
    """Return the frame rate that ``fps`` stands for: an NTSC rate, or the nearest fraction of few digits."""
    rate = Fraction(fps)
    for ntsc in _NTSC_RATES:
        if abs(rate - ntsc) < _NTSC_TOLERANCE * ntsc:
            return ntsc
    return rate.limit_denominator(_MAX_DENOMINATOR)


def choose_fps(measured: Fraction | None, nominal: Iterable[Fraction | None]) -> Fraction:
    """Return the rate at which a clip loses no picture and repeats few.

    The measured (average) rate of a clip with a dropped picture is 29.98 where 30 is meant, and 18 if many
    were dropped: the nominal rate is right. But that of a clip with a variable rate may be its clock's, 1000
    or 90000: then the measured rate is.
    """
    candidates = [rate for rate in nominal if rate and MIN_FPS <= rate <= MAX_FPS]
    if not measured or not MIN_FPS <= measured <= MAX_FPS:
        return exact_fps(candidates[0]) if candidates else _FALLBACK_FPS
    meant = (
        rate
        for rate in candidates
        if abs(rate - measured) <= _SAME_RATE * measured or measured < rate <= _CAMERA_FPS
    )
    return exact_fps(next(meant, measured))


def may_change_its_clock(container: str) -> bool:
    """Return whether files of this format are often joined from others, each with a clock of its own."""
    return container in _BROADCAST


def is_other_clock(jump: Fraction, container: str) -> bool:
    """Return whether so many seconds between two frames of a file mean another clock and not a pause."""
    return may_change_its_clock(container) and jump > _MOST_IN_BROADCAST


def frame_count(duration: float | Fraction, fps: Fraction) -> int:
    """Return how many frames show ``duration`` seconds at ``fps``: the nearest whole number, at least 1."""
    return max(1, round(duration * fps))


@dataclass(frozen=True)
class Segment:
    """A run of video frames of a render: ``first_frame`` and the ``frame_count - 1`` after it.

    ``last`` says that the render ends with it: it then takes all of the sound that is left.
    """

    index: int
    first_frame: int
    frame_count: int
    last: bool
