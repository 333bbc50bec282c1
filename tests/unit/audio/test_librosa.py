"""Both spectrograms equal librosa's, with which their models were trained.

Slow: librosa compiles its Fourier transform for half a minute, once an installation.
"""

from pathlib import Path

import numpy as np
import pytest

from app.audio.logmel import log_mel
from app.audio.mel import mel_spectrogram
from tests.support.clips import speech_like
from tests.support.ears import sound_of

pytestmark = pytest.mark.slow


def test_wav2lips_mel_equals_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    signal = speech_like(1.0).astype(np.float64)
    emphasized = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    settings = {"n_fft": 800, "hop_length": 200, "win_length": 800}
    spectrum = np.abs(librosa.stft(emphasized, pad_mode="reflect", **settings))
    bank = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600, dtype=np.float64)
    expected = np.clip(8 * (20 * np.log10(np.maximum(1e-5, bank @ spectrum)) + 80) / 100 - 4, -4, 4)
    np.testing.assert_allclose(mel_spectrogram(speech_like(1.0)), expected, rtol=0, atol=1e-6)


def test_whispers_log_mel_equals_librosas(tmp_path: Path) -> None:
    librosa = pytest.importorskip("librosa")
    samples = speech_like(1.5)
    spectrum = np.abs(
        librosa.stft(samples.astype(np.float64), n_fft=400, hop_length=160, pad_mode="constant")
    )
    bank = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80, dtype=np.float64)
    expected = (np.log10(np.maximum(bank @ spectrum**2, 1e-7)) + 4) / 4
    made = log_mel(sound_of(tmp_path / "speech", samples), 0, expected.shape[1], 1.0)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)
