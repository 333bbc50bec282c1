"""Sounds in which nobody speaks: a mouth should rest."""

from collections.abc import Callable
from typing import Final

import numpy as np

from training.evaluation.halves import RATE, Sound

_LOUD: Final = 0.1
"""Root mean square: that of speech which is recorded well, -20 dB."""
_CHORD: Final = (220.0, 277.2, 329.6)
_HUM: Final = (50.0, 100.0, 150.0, 250.0)
_BEATS: Final = 3.0
"""Beats of the music, a second."""


def silence(seconds: float) -> Sound:
    """Return digital silence."""
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float) -> Sound:
    """Return white noise."""
    return _as_loud(np.random.default_rng(0).standard_normal(round(seconds * RATE)))


def hum(seconds: float) -> Sound:
    """Return the hum of mains and its harmonics."""
    times = np.arange(round(seconds * RATE)) / RATE
    return _as_loud(
        sum((np.sin(2 * np.pi * pitch * times) / (k + 1) for k, pitch in enumerate(_HUM)), 0 * times)
    )


def music(seconds: float) -> Sound:
    """Return chords that swell three times a second over a plucked bass: no voice."""
    times = np.arange(round(seconds * RATE)) / RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * _BEATS * times)
    chords = sum(
        (np.sin(2 * np.pi * pitch * times) + 0.3 * np.sin(4 * np.pi * pitch * times) for pitch in _CHORD),
        0 * times,
    )
    since = times * _BEATS % 1 / _BEATS
    bass = 2 * np.sin(2 * np.pi * 110 * times) * np.exp(-12 * since)
    return _as_loud(swell * chords + bass)


WORDLESS: Final[dict[str, Callable[[float], Sound]]] = {
    "silence": silence,
    "noise": noise,
    "hum": hum,
    "music": music,
}


def _as_loud(sound: "np.typing.NDArray[np.float64]") -> Sound:
    return (sound * (_LOUD / float(np.sqrt(np.square(sound).mean())))).astype(np.float32)
