from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.audio.loudness import (
    MOST_GAIN,
    TARGET_LEVEL,
    Loudness,
    block_levels,
    gain_of,
    last_word,
    loudness_of,
)
from app.errors import JobCanceled
from app.media.sound import Sound
from app.progress import Alive
from tests.support.clips import speech_like
from tests.support.ears import sound_of


def _gain(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    return gain_of(block_levels(samples))


@pytest.mark.parametrize("factor", [0.01, 0.1, 3.0])
def test_levelled_speech_is_as_loud_whatever_it_was(factor: float) -> None:
    words = speech_like(3.0)
    assert _gain(words * np.float32(factor)) * factor == pytest.approx(_gain(words), rel=1e-4)


def test_pauses_do_not_count(tmp_path: Path) -> None:
    words = speech_like(3.0)
    paused = np.concatenate([np.zeros(16000 * 60, np.float32), words, np.zeros(16000 * 70, np.float32)])
    assert loudness_of(sound_of(tmp_path / "speech", paused)).gain == pytest.approx(_gain(words), rel=0.01)


def test_what_is_loud_is_near_for_a_while_before_and_after_it() -> None:
    loudness = Loudness(1.0, np.array([False] * 10 + [True, True] + [False] * 3))
    times = np.array([-1.0, 0.6, 0.725, 0.85, 1.0, 1.15, 1.35, 1.475, 1.6, 9.0])
    np.testing.assert_allclose(loudness.near(times), [0, 0, 0.5, 1, 1, 1, 1, 0.5, 0, 0], atol=1e-6)
    assert not Loudness(1.0, np.zeros(3, np.bool_)).near(times).any()


@pytest.mark.parametrize("listen", [loudness_of, last_word])
def test_a_long_sound_is_listened_to_no_further_once_it_is_canceled(
    tmp_path: Path, listen: Callable[[Sound, Alive], float]
) -> None:
    heard = 0

    def alive() -> None:
        nonlocal heard
        heard += 1
        if heard == 2:
            raise JobCanceled("The job was canceled.")

    with pytest.raises(JobCanceled):
        listen(sound_of(tmp_path / "long", np.zeros(16000 * 180, np.float32)), alive)


def test_a_bang_does_not_make_the_words_faint() -> None:
    words = 0.05 * speech_like(5.0)
    banged = words.copy()
    banged[:1600] = 0.9
    assert _gain(banged) > 0.5 * _gain(words)


def test_the_gain_of_almost_nothing_is_bounded_and_that_of_nothing_is_one() -> None:
    hiss = np.random.default_rng(0).normal(0, 1e-6, 32000).astype(np.float32)
    assert _gain(hiss) == MOST_GAIN
    assert _gain(np.zeros(32000, np.float32)) == 1
    assert _gain(np.zeros(0, np.float32)) == 1


def test_a_sound_shorter_than_a_block_has_a_level() -> None:
    assert _gain(np.full(160, 0.02, np.float32)) == pytest.approx(TARGET_LEVEL / 0.02)
