"""Triangular mel bands on Slaney's scale, as librosa and Whisper draw them (Auditory Toolbox, 1998)."""

from math import log

import numpy as np
import numpy.typing as npt

from app.media.sound import SPEECH_RATE

Frequencies = npt.NDArray[np.float64]
"""float64 (n,): hertz, or mels."""

FilterBank = npt.NDArray[np.float64]
"""float64 (bands, fft_size // 2 + 1): the weight of each frequency of the spectrum in each mel band."""

_LINEAR_STEP, _LINEAR_UP_TO, _LOG_STEP = 200 / 3, 1000.0, log(6.4) / 27
"""Hertz a mel, up to where, and the logarithm's step above."""


def filter_bank(bands: int, fft_size: int, lowest_hz: float, highest_hz: float) -> FilterBank:
    """Return triangles of equal area for speech at 16 kHz, evenly spaced on the mel scale."""
    edges = _slaney_hz(np.linspace(_slaney_mel(lowest_hz), _slaney_mel(highest_hz), bands + 2))[:, None]
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.fft.rfftfreq(fft_size, 1 / SPEECH_RATE)
    rising, falling = (hertz - lower) / (center - lower), (upper - hertz) / (upper - center)
    bank: FilterBank = np.maximum(0, np.minimum(rising, falling)) * 2 / (upper - lower)
    return bank


def _slaney_mel(hertz: float) -> float:
    linear = hertz / _LINEAR_STEP
    if hertz < _LINEAR_UP_TO:
        return linear
    return _LINEAR_UP_TO / _LINEAR_STEP + log(hertz / _LINEAR_UP_TO) / _LOG_STEP


def _slaney_hz(mels: Frequencies) -> Frequencies:
    break_mel = _LINEAR_UP_TO / _LINEAR_STEP
    above = _LINEAR_UP_TO * np.exp(_LOG_STEP * (mels - break_mel))
    hertz: Frequencies = np.where(mels < break_mel, mels * _LINEAR_STEP, above)
    return hertz
