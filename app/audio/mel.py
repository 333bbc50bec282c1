"""Wav2Lip's mel spectrogram in double precision: the numbers of librosa, with which its training computed.

librosa itself brings numba and half of scipy with it, 2.5 s of every start and 5 ms of every call; a test
compares the two.
"""

from functools import cache
from math import log
from typing import Final

import numpy as np
import numpy.typing as npt

from app.media.sound import SPEECH_RATE, SpeechSamples

MelSpectrogram = npt.NDArray[np.float32]
"""float32 (80, columns), -4..4: 80 columns a second, column ``c`` centred on sample ``200 c``."""

Signal = npt.NDArray[np.float64]
"""float64 (samples,): speech at 16 kHz."""

Frequencies = npt.NDArray[np.float64]
"""float64 (n,): hertz, or mels."""

FilterBank = npt.NDArray[np.float64]
"""float64 (80, 401): the weight of each frequency of the spectrum in each mel band."""

BANDS: Final = 80
HOP: Final = 200
FFT_SIZE: Final = 800
COLUMNS_PER_SECOND: Final = SPEECH_RATE // HOP
SILENCE: Final = -4.0
"""The value of digital silence, and of all that is outside of the sound."""

_PRE_EMPHASIS: Final = 0.97
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_FLOOR: Final = 1e-5
_REFERENCE_DB: Final = 20.0
_RANGE_DB: Final = 100.0

_LINEAR_STEP, _LINEAR_UP_TO, _LOG_STEP = 200 / 3, 1000.0, log(6.4) / 27
"""Slaney's mel scale (Auditory Toolbox, 1998): hertz a mel, up to where, and the logarithm's step above."""

_HANN: Final = np.hanning(FFT_SIZE + 1)[:-1]
_BLOCK: Final = 1024
"""Columns that are transformed together: 13 MB."""


def mel_spectrogram(samples: SpeechSamples) -> MelSpectrogram:
    """Return the mel spectrogram of a whole signal: ``1 + max(samples, 800) // 200`` columns.

    This is the definition that Wav2Lip was trained on (its ``audio.py``), with ``reflect`` padding at both
    ends. A signal shorter than one analysis window is filled up with silence.
    """
    signal = np.zeros(max(len(samples), FFT_SIZE))
    signal[: len(samples)] = samples
    return mel_columns(np.pad(pre_emphasis(signal, 0.0), FFT_SIZE // 2, mode="reflect"))


def pre_emphasis(signal: Signal, before: float) -> Signal:
    """Return ``signal`` with its high frequencies raised; ``before`` is the sample that precedes it."""
    return signal - _PRE_EMPHASIS * np.concatenate([[before], signal[:-1]])


def mel_columns(emphasized: Signal) -> MelSpectrogram:
    """Return the mel columns whose windows lie in ``emphasized``, the first one at its first sample."""
    windows = np.lib.stride_tricks.sliding_window_view(emphasized, FFT_SIZE)[::HOP]
    blocks = [windows[start : start + _BLOCK] for start in range(0, len(windows), _BLOCK)]
    magnitudes = [_filter_bank() @ np.abs(np.fft.rfft(block * _HANN)).T for block in blocks]
    decibels = 20 * np.log10(np.maximum(_FLOOR, np.concatenate(magnitudes, axis=1))) - _REFERENCE_DB
    normalized: MelSpectrogram = np.clip(8 * (decibels + _RANGE_DB) / _RANGE_DB - 4, -4, 4).astype(np.float32)
    return normalized


@cache
def _filter_bank() -> FilterBank:
    """Return triangles of equal area, evenly spaced on Slaney's mel scale."""
    edges = _slaney_hz(np.linspace(_slaney_mel(_LOWEST_HZ), _slaney_mel(_HIGHEST_HZ), BANDS + 2))[:, None]
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.fft.rfftfreq(FFT_SIZE, 1 / SPEECH_RATE)
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
