from pathlib import Path

import numpy as np
import pytest

from app.media.sound import SPEECH_RATE, Sound
from app.rendering.sync import Stretch, following

SECONDS = 6.0


def sound_of(path: Path, signal: np.ndarray) -> Sound:
    signal.astype(np.float32).tofile(path)
    count = len(signal)
    return Sound("", str(path), SPEECH_RATE, 1, "mono", count, count, count / SPEECH_RATE)


def swell(times: np.ndarray) -> np.ndarray:
    """Syllables that never come again alike."""
    return np.clip(np.sin(2 * np.pi * (2.0 * times + 0.4 * times**1.5)), 0, None)


@pytest.fixture
def sound(tmp_path: Path) -> Sound:
    times = np.arange(round(SECONDS * SPEECH_RATE)) / SPEECH_RATE
    noise = np.random.default_rng(0).normal(0, 0.1, len(times))
    return sound_of(tmp_path / "speech.f32", swell(times) * noise)


@pytest.mark.parametrize(
    ("lag", "offset"), [(-0.12, 0.0), (0.0, 0.0), (0.2, 0.0), (1.0, 1.0), (0.7, 0.9), (-1.0, -0.9)]
)
def test_a_mouth_that_follows_is_told_with_its_lag(sound: Sound, lag: float, offset: float) -> None:
    stretches = [
        Stretch(times, 0.3 * swell(times - lag))
        for times in (np.arange(first, first + 40) / 25 for first in (30, 80))
    ]
    followed = following(sound, stretches, offset)
    assert followed is not None
    assert followed[0] > 0.8
    assert followed[1] is not None
    assert followed[1] == pytest.approx(lag, abs=0.03)


def test_a_mouth_that_does_as_it_likes_is_told_so_without_a_lag(sound: Sound) -> None:
    times = np.arange(20, 120) / 25
    followed = following(sound, [Stretch(times, np.random.default_rng(1).normal(0, 0.1, len(times)))])
    assert followed is not None
    assert followed[0] < 0.4
    assert followed[1] is None


def test_of_a_few_frames_a_lag_is_told_only_where_they_follow_well(sound: Sound) -> None:
    times = np.arange(30, 90) / 25
    noise = np.random.default_rng(2).normal(0, 0.4, len(times))
    short, long = (
        following(sound, [Stretch(t, swell(t) + n)])
        for t, n in ((times[:25], noise[:25]), (times, 0.2 * noise))
    )
    assert short is not None
    assert short[0] > 0.4
    assert short[1] is None
    assert long is not None
    assert long[1] == pytest.approx(0, abs=0.03)


def test_stillness_and_too_few_frames_tell_nothing(sound: Sound, tmp_path: Path) -> None:
    times = np.arange(50) / 25
    assert following(sound, [Stretch(times, np.full(50, 0.2))]) is None
    assert following(sound, [Stretch(times[:5], swell(times[:5]))]) is None
    assert following(sound, []) is None
    silence = sound_of(tmp_path / "silence.f32", np.zeros(2 * SPEECH_RATE))
    assert following(silence, [Stretch(times, swell(times))]) is None
