"""Wav2Lip's mel spectrogram in double precision, equal to librosa's, with which it was trained.

librosa itself loads numba and half of scipy, which costs 2.5 s at every start and 5 ms per call; a test
compares the two.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.slaney import FilterBank, filter_bank
from app.media.sound import SPEECH_RATE, SpeechSamples

MelSpectrogram = npt.NDArray[np.float32]
"""float32 (80, columns), -4..4: 80 columns a second, column ``c`` centred on sample ``200 c``."""

Signal = npt.NDArray[np.float64]
"""float64 (samples,): speech at 16 kHz."""

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
    """Return Wav2Lip's bands."""
    return filter_bank(BANDS, FFT_SIZE, _LOWEST_HZ, _HIGHEST_HZ)
