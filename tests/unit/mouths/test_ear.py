from pathlib import Path

import numpy as np
import pytest

from app.audio.logmel import LogMel, log_mel
from app.audio.loudness import loudness_of
from app.errors import InvalidModel, ModelNotFound
from app.media.sound import SPEECH_RATE, Sound
from app.mouths.ear import Ear, Heard
from app.mouths.space import SHAPE_DIMS
from app.progress import Alive
from tests.support.clips import speech_like
from tests.support.ears import sound_of, write_ear
from tests.support.onnx_models import write_classifier


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(write_ear(tmp_path / "ear.onnx"))


@pytest.fixture
def sound(tmp_path: Path) -> Sound:
    return sound_of(tmp_path / "speech", speech_like(2.0))


@pytest.fixture
def listened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The columns of the mel that were asked for."""
    asked: list[tuple[int, int]] = []

    def log_mel_noted(sound: Sound, start: int, stop: int, gain: float, alive: Alive) -> LogMel:
        asked.append((start, stop))
        return log_mel(sound, start, stop, gain, alive)

    monkeypatch.setattr("app.mouths.ear.log_mel", log_mel_noted)
    return asked


def _joined(parts: list[Heard]) -> Heard:
    return Heard(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("opening", "shapes", "speech", "near")
        )
    )


def _part(heard: Heard, start: int, stop: int) -> Heard:
    part = slice(start, stop)
    return Heard(heard.opening[part], heard.shapes[part], heard.speech[part], heard.near[part])


def _same(one: Heard, other: Heard) -> None:
    for name in ("opening", "shapes", "speech", "near"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("cut", [1, 2, 7, 33])
@pytest.mark.parametrize("fps", [25.0, 29.97, 60.0])
def test_pieces_of_a_sound_hear_what_the_whole_hears_to_the_bit(
    ear: Ear, sound: Sound, cut: int, fps: float
) -> None:
    times = np.arange(int(2.3 * fps)) / fps
    parts = [ear.hear(sound, times[start : start + cut]) for start in range(0, len(times), cut)]
    _same(_joined(parts), ear.hear(sound, times))


def test_more_threads_hear_the_same(tmp_path: Path, sound: Sound) -> None:
    path, times = write_ear(tmp_path / "ear.onnx"), np.arange(60) / 25
    _same(Ear(path, 2).hear(sound, times), Ear(path, 1).hear(sound, times))


def test_what_is_heard_at_a_time_is_the_row_of_that_time(ear: Ear, sound: Sound) -> None:
    heard = ear.hear(sound, np.array([0.5, 0.51, 0.52]))
    columns = log_mel(sound, 50, 54, loudness_of(sound).gain).mean(axis=0)
    rows = columns.reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(heard.opening, [rows[0], rows.mean(), rows[1]], atol=1e-5)


def test_outside_of_the_sound_silence_is_heard(ear: Ear, sound: Sound) -> None:
    heard = ear.hear(sound, np.array([-40.0, -39.9]))
    np.testing.assert_allclose(heard.opening, -0.75)
    assert heard.shapes.shape == (2, SHAPE_DIMS)
    after = ear.hear(sound, np.array([100.0]))
    np.testing.assert_allclose(after.speech, -0.75)
    assert after.near == 0


def test_it_is_told_where_something_is_loud(tmp_path: Path, ear: Ear) -> None:
    silence = np.zeros(SPEECH_RATE, np.float32)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(3 * SPEECH_RATE).astype(np.float32)
    paused = sound_of(tmp_path / "paused", np.concatenate([silence, speech_like(1.0), silence]) + noise)
    near = ear.hear(paused, np.arange(60) / 20).near
    assert (near[[0, 10, 11, 49, 59]] == 0).all()
    assert (near[19:42] > 0).all()


def test_the_answer_is_float32_and_empty_for_no_frames(ear: Ear, sound: Sound) -> None:
    none = ear.hear(sound, np.empty(0))
    assert (none.opening.shape, none.shapes.shape, none.speech.shape) == ((0,), (0, SHAPE_DIMS), (0,))
    heard = ear.hear(sound, np.arange(3) / 25)
    assert heard.opening.dtype == heard.shapes.dtype == heard.speech.dtype == np.float32


@pytest.mark.parametrize("decibels", [-45, -20, 6])
def test_the_same_words_at_another_level_are_heard_alike(tmp_path: Path, ear: Ear, decibels: int) -> None:
    words, times = speech_like(2.0), np.arange(50) / 25
    asked = words * np.float32(10 ** (decibels / 20))
    one = ear.hear(sound_of(tmp_path / "one", words), times)
    other = ear.hear(sound_of(tmp_path / "other", asked), times)
    np.testing.assert_allclose(one.opening, other.opening, atol=1e-4)


def test_another_sound_of_the_same_name_gets_its_own_level(tmp_path: Path, ear: Ear) -> None:
    words, times = speech_like(2.0), np.arange(50) / 25
    loud = ear.hear(sound_of(tmp_path / "speech", words), times)
    faint = ear.hear(sound_of(tmp_path / "speech", words * np.float32(0.1)), times)
    np.testing.assert_allclose(loud.opening, faint.opening, atol=1e-4)


def test_what_was_heard_shortly_before_is_not_heard_again(
    tmp_path: Path, ear: Ear, sound: Sound, listened: list[tuple[int, int]]
) -> None:
    first, other = np.arange(39) / 20, sound_of(tmp_path / "other", speech_like(2.0))
    ear.hear(sound, first)
    assert listened == [(-10, 206)]  # with what the windows hear before and after
    ear.hear(sound, first[20:30])
    assert len(listened) == 1
    ear.hear(sound, np.arange(30, 50) / 20)
    assert listened[1:] == [(190, 266)]
    ear.hear(other, first)
    ear.hear(sound, first)
    assert listened[2:] == [(-10, 206)] * 2


def test_what_was_heard_long_before_is_heard_again(
    ear: Ear, sound: Sound, listened: list[tuple[int, int]]
) -> None:
    times = np.arange(2000) / 50
    whole = ear.hear(sound, times)
    _same(ear.hear(sound, times[-250:]), _part(whole, 1750, 2000))
    assert len(listened) == 1
    _same(ear.hear(sound, times[:250]), _part(whole, 0, 250))
    assert len(listened) == 2


def test_the_average_range_is_told(ear: Ear) -> None:
    assert ear.average_range == 0.25


def test_what_is_no_ear_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model file"):
        Ear(tmp_path / "none.onnx")
    whole = write_ear(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidModel, match="truncated"):
        Ear(tmp_path / "cut.onnx")
    for foreign in (
        write_classifier(tmp_path / "classifier.onnx"),
        write_ear(tmp_path / "unnamed.onnx", described=False),
        write_ear(tmp_path / "other.onnx", outputs=4),
    ):
        with pytest.raises(InvalidModel, match="is not a model that listens"):
            Ear(foreign)
