"""Centred smoothing of tracks: removes jitter without delaying motion."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from app.errors import InvalidRequest

Series = npt.NDArray[np.floating]
"""float (n, k): k numbers a frame, a row of nan where a frame has none."""

DEFAULT_SMOOTHING: Final = 0.2
"""Seconds; the reference averages over five frames, at its 25 frames a second."""

MAX_SMOOTHING: Final = 1.0

LEAST_FRAMES: Final = 0.3
"""Frames; over fewer a neighbour weighs less than 1e-28, and soon nothing at all: no line can be fitted."""


def check_smoothing(seconds: float) -> float:
    """Return ``seconds``; raise :class:`InvalidRequest` unless it is from 0 (off) to 1."""
    if not 0 <= seconds <= MAX_SMOOTHING:
        raise InvalidRequest(
            f"The smoothing is a time from 0 (off) to {MAX_SMOOTHING:g} seconds; {seconds} was given."
        )
    return seconds


def fill_gaps(series: Series) -> npt.NDArray[np.float64]:
    """Return ``series`` with its rows of nan interpolated from the nearest known rows, float64 (n, k)."""
    known = ~np.isnan(series).any(axis=1)
    rows = np.arange(len(series))
    filled = np.array(series, np.float64)
    if known.all():
        return filled
    for column in filled.T:
        column[~known] = np.interp(rows[~known], rows[known], column[known])
    return filled


def reach_of(frames: float) -> int:
    """Return how many rows before and after one :func:`smooth` takes into account."""
    return int(np.ceil(3 * frames / np.sqrt(12)))


def smooth(series: Series, frames: float) -> npt.NDArray[np.float64]:
    """Fit a line through the neighbourhood of each row and return its value there, float64 (n, k).

    The weights are Gaussian, centred, and spread as a moving average over ``frames`` rows is; below
    :data:`LEAST_FRAMES` nothing changes. A line in the data passes unchanged, up to both ends, so nothing
    lags or leads.
    """
    count, sigma = len(series), frames / np.sqrt(12)
    if count < 2 or frames < LEAST_FRAMES:
        return np.array(series, np.float64)
    reach = reach_of(frames)
    offsets = np.arange(-reach, reach + 1)
    inside = sliding_window_view(np.pad(np.ones(count), reach), len(offsets))
    weights = np.exp(-0.5 * (offsets / sigma) ** 2) * inside
    zeroth, first, second = (weights @ offsets**power for power in range(3))
    weights = weights * (second[:, None] - np.outer(first, offsets)) / (zeroth * second - first**2)[:, None]
    padded = np.pad(series, ((reach, reach), (0, 0))).astype(np.float64)
    return sum((weights[:, [j]] * padded[j : j + count] for j in range(len(offsets))), np.zeros(series.shape))
