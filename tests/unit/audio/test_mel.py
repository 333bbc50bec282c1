import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.audio.mel import mel_spectrogram
from app.media.sound import SpeechSamples
from tests.support.clips import speech_like
from tests.unit.audio.reference import reference_mel

VECTOR = Path(__file__).parent / "data" / "mel_vector.npz"


def _signals() -> dict[str, SpeechSamples]:
    rng = np.random.default_rng(1)
    t = np.arange(8000) / 16000
    return {
        "speech": speech_like(2.0),
        "noise": rng.normal(0, 0.2, 16000).astype(np.float32),
        "faint noise": rng.normal(0, 1e-5, 16000).astype(np.float32),
        "loud tone": np.sin(2 * np.pi * 440 * t).astype(np.float32),
        "click": np.eye(1, 4000, 1234, dtype=np.float32)[0],
        "square": np.sign(np.sin(2 * np.pi * 100 * t)).astype(np.float32),
        "shortest": speech_like(0.05),
    }


@pytest.mark.parametrize("name", _signals())
def test_mel_equals_an_independent_computation(name: str) -> None:
    signal = _signals()[name]

    np.testing.assert_allclose(mel_spectrogram(signal), reference_mel(signal), rtol=0, atol=1e-4)


def test_mel_equals_the_committed_vector() -> None:
    with np.load(VECTOR) as vector:
        samples, mel = vector["samples"] / np.float32(32768), vector["mel"]

    np.testing.assert_allclose(mel_spectrogram(samples), mel, rtol=0, atol=1e-4)
    np.testing.assert_allclose(reference_mel(samples), mel, rtol=0, atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 800, 16000])
def test_digital_silence_is_exactly_minus_four(samples: int) -> None:
    mel = mel_spectrogram(np.zeros(samples, np.float32))

    assert mel.shape == (80, 1 + max(samples, 800) // 200)
    assert (mel == -4).all()


def test_the_range_is_minus_four_to_four() -> None:
    mel = mel_spectrogram(100 * speech_like(1.0))

    assert mel.dtype == np.float32
    assert mel.min() >= -4
    assert mel.max() == 4


def test_the_columns_of_a_long_sound_do_not_depend_on_its_blocks() -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, 16000 * 14).astype(np.float32)
    np.testing.assert_array_equal(
        mel_spectrogram(samples)[:, -40:-4], mel_spectrogram(samples[16000:])[:, -40:-4]
    )


def test_what_takes_seconds_to_import_is_not_needed() -> None:
    code = "import sys, app.audio.windows; sys.exit('librosa' in sys.modules or 'numba' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
