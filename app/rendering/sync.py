"""Lip sync of a result: the correlation of a mouth's opening with the loudness, at the best lag."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.media.sound import SPEECH_RATE, Sound

Numbers = npt.NDArray[np.float64]
"""float64 (n,)."""

MOST_LAG: Final = 0.3
"""Seconds by which a mouth is looked for before and after the time at which it is to follow its sound."""
_STEP: Final = 0.01
_WINDOW: Final = 0.08
"""A loudness is that of so many seconds, a syllable's kernel."""
_LEAST, _LEAST_SECONDS = 6, 0.4
"""Frames, and seconds, from which a stretch tells anything."""
_SURE: Final = 1.1
"""Correlation, times the root of the seconds that are seen, from which it tells a lag: the best of 2.4 to 12
seconds of mouths beside the sound of others reached it once in fifty times at most."""
_STILL: Final = 1e-4
"""Deviation of an opening, or a loudness, below which it does not move."""


@dataclass(frozen=True)
class Stretch:
    """How far a mouth is open at some times in a row, seconds; in distances of the inner eyes."""

    times: Numbers
    openings: Numbers

    @property
    def seconds(self) -> float:
        """How long it is."""
        return float(self.times[-1] - self.times[0])

    @property
    def tells(self) -> bool:
        """Whether it is long enough to tell anything."""
        return len(self.times) >= _LEAST and self.seconds >= _LEAST_SECONDS


def following(
    sound: Sound, stretches: Sequence[Stretch], offset: float = 0.0
) -> tuple[float, float | None] | None:
    """Return the best correlation, -1..1, and its lag, seconds: above 0 the mouth is later than the sound.

    ``offset`` is by how much later it is to be, seconds. The lag is None where chance may have made the
    correlation; all is None if too little of a mouth is seen, or neither moves.
    """
    told = [stretch for stretch in stretches if stretch.tells]
    lags = offset + np.arange(-MOST_LAG, MOST_LAG + _STEP / 2, _STEP)
    if not told:
        return None
    openings = np.concatenate([stretch.openings - stretch.openings.mean() for stretch in told])
    loud = np.hstack([_loudness(sound, stretch.times, lags) for stretch in told])
    if openings.std() < _STILL or loud.std() < _STILL:
        return None
    spread = loud.std(axis=1)
    scores = (loud * openings).mean(axis=1) / np.maximum(spread, _STILL) / openings.std()
    best = int(scores.argmax())
    sure = scores[best] * sum(stretch.seconds for stretch in told) ** 0.5 >= _SURE
    return float(scores[best]), float(lags[best]) if sure else None


def _loudness(sound: Sound, times: Numbers, lags: Numbers) -> Numbers:
    """Return the loudness (lags, times) at each time less each lag, less its mean over the times."""
    begin = float(times[0]) - float(lags[-1]) - _WINDOW
    count = int((times[-1] - lags[0] + _WINDOW - begin) * SPEECH_RATE)
    first = round(begin * SPEECH_RATE)
    samples = np.zeros(count)
    heard = sound.read_speech(first, first + count)
    before = min(max(0, -first), count)
    samples[before : before + len(heard)] = heard[: count - before]
    power = np.concatenate([[0.0], np.cumsum(np.square(samples))])
    half = round(_WINDOW / 2 * SPEECH_RATE)
    at = np.rint((times[None] - lags[:, None] - begin) * SPEECH_RATE).astype(int)
    low, high = np.clip(at - half, 0, count), np.clip(at + half, 0, count)
    level = np.sqrt(np.sqrt(np.maximum(power[high] - power[low], 0) / (2 * half)))
    return np.asarray(level - level.mean(axis=1, keepdims=True))
