"""By how much picture and sound of footage are off, found with ears that have not heard the person.

Half of today's webcams are off by more than a frame. The lag is where what is heard correlates best with what
is seen, small lags preferred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.listen.learn import Heard, heard_at
from training.listen.talks import Talk
from training.networks.ear import OPENING

REACH: Final = 0.2
"""Seconds, either way, within which a lag is looked for."""
_STEP: Final = 0.01
_FRAME: Final = 0.04


@dataclass(frozen=True)
class Lag:
    """``seconds`` by which the sound is later than is known so far, and the correlation there."""

    seconds: float
    correlation: float


def find_lag(talks: Sequence[Talk], grids: Sequence[Heard], penalty: float) -> Lag:
    """Return the lag that the talks of one person have in common; ``grids`` are what is heard in each.

    ``penalty`` is taken off the correlation for every frame (of 40 ms), squared.
    """
    seen = np.concatenate([_about_mean(talk.mouths[talk.seen, -1]) for talk in talks])
    lags = np.arange(-REACH, REACH + _STEP / 2, _STEP)
    alike = np.array([correlation(seen, _heard(talks, grids, lag)) for lag in lags])
    best = int(np.argmax(alike - penalty * np.square(lags / _FRAME)))
    return Lag(float(lags[best]), float(alike[best]))


def correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the correlation of two series, 0 if one does not vary."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0


def _heard(talks: Sequence[Talk], grids: Sequence[Heard], lag: float) -> npt.NDArray[np.float64]:
    parts = [
        _about_mean(heard_at(grid, talk.times[talk.seen] + lag)[:, OPENING].astype(np.float64))
        for talk, grid in zip(talks, grids, strict=True)
    ]
    return np.concatenate(parts)


def _about_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(values - values.mean(), np.float64)
