import numpy as np
import pytest

from app.audio.mel import mel_spectrogram
from tests.support.clips import speech_like
from training.sync import estimate_sync

SECONDS = 8


def mouth_of(
    sound: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A mouth that opens as loud as the sound is in the middle of each frame's window."""
    power = np.convolve(np.square(sound), np.ones(1600) / 1600, "same")
    return np.asarray(np.sqrt(power[(np.arange(SECONDS * 25) * 640 + 1600) % len(power)]), np.float64)


@pytest.mark.parametrize("late", [0, 3, -2])
def test_the_offset_is_how_late_the_sound_is(late: int) -> None:
    sound = speech_like(SECONDS)
    found = estimate_sync(mouth_of(sound), mel_spectrogram(np.roll(sound, late * 640)))
    assert found.offset == pytest.approx(late, abs=0.6)
    assert found.is_evident


def test_frames_without_a_face_do_not_count() -> None:
    sound = speech_like(SECONDS)
    mouth = mouth_of(sound)
    mouth[40:90] = np.nan
    assert estimate_sync(mouth, mel_spectrogram(sound)).is_evident


def test_a_mouth_that_moves_on_its_own_is_no_evidence() -> None:
    mouth = np.random.default_rng(0).random(SECONDS * 25)
    assert not estimate_sync(mouth, mel_spectrogram(speech_like(SECONDS))).is_evident


def test_silence_and_a_face_seen_too_shortly_are_no_evidence() -> None:
    sound = speech_like(SECONDS)
    assert estimate_sync(mouth_of(sound), mel_spectrogram(np.zeros_like(sound))).correlation == 0
    assert estimate_sync(np.full(SECONDS * 25, np.nan), mel_spectrogram(sound)).correlation == 0
