"""What is listened to of a sound's beginning, by the ear that ships."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.media.limits import AudioLimits
from app.media.sound import SPEECH_RATE, SpeechSamples, decode_sound
from app.rendering.wanted import ENOUGH_SPEECH, LISTENED_RATE, LISTENED_SECONDS, PIECE_SECONDS, hear_early
from tests.support.ears import sound_of
from tests.support.models import default_model

SPEECH = Path(__file__).parents[3] / "demo/speech.wav"
EAR = default_model().ear


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> SpeechSamples:
    """Return the samples of the demo's sentence."""
    folder = tmp_path_factory.mktemp("sound")
    sound = decode_sound(SPEECH, AudioLimits(60), folder / "track", folder / "speech")
    return sound.read_speech(0, sound.speech_samples)


def silence(seconds: float) -> SpeechSamples:
    return np.zeros(round(seconds * SPEECH_RATE), np.float32)


def chords(seconds: float) -> SpeechSamples:
    """Return music: a chord that is struck anew each second."""
    times = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    tones = sum(np.sin(2 * np.pi * pitch * times) for pitch in (220.0, 277.2, 329.6, 440.0))
    return np.asarray(0.05 * tones * np.exp(-2 * (times % 1)), np.float32)


def opening_while_speaking(samples: SpeechSamples, path: Path) -> tuple[float, float, float]:
    """Return mean and deviation of the opening while somebody speaks, and for how long, seconds."""
    heard = hear_early(EAR, sound_of(path, samples))
    spoken = float(heard.speech.sum())
    mean = float(heard.opening @ heard.speech / spoken)
    deviation = float(np.sqrt(np.square(heard.opening - mean) @ heard.speech / spoken))
    return mean, deviation, spoken / LISTENED_RATE


@pytest.mark.parametrize("lead_in", [silence, chords])
@pytest.mark.parametrize("seconds", [24.0, 41.0])
def test_the_speaker_is_heard_behind_a_silence_or_a_jingle(
    words: SpeechSamples, tmp_path: Path, lead_in: Callable[[float], SpeechSamples], seconds: float
) -> None:
    samples = np.concatenate([lead_in(seconds), words, words, words])
    mean, deviation, spoken = opening_while_speaking(samples, tmp_path / "later")
    alone = opening_while_speaking(words, tmp_path / "alone")
    assert spoken >= ENOUGH_SPEECH
    assert (mean, deviation) == pytest.approx(alone[:2], rel=0.15)


def test_what_comes_later_counts_for_nothing_where_somebody_speaks_early(
    words: SpeechSamples, tmp_path: Path
) -> None:
    samples = np.concatenate([silence(5.0), words, silence(10.0)])
    heard, more = (
        hear_early(EAR, sound_of(tmp_path / "a", each))
        for each in (samples, np.concatenate([samples, words]))
    )
    assert len(heard.speech) == round(LISTENED_SECONDS * LISTENED_RATE)
    np.testing.assert_allclose(heard.opening, more.opening, atol=0.02)
    np.testing.assert_allclose(heard.speech, more.speech, atol=0.02)


def test_of_few_words_behind_a_silence_as_many_are_heard_as_are_there(
    words: SpeechSamples, tmp_path: Path
) -> None:
    sentence = words[: 6 * SPEECH_RATE]
    samples = np.concatenate([silence(20.0), sentence, silence(14.0)])
    alone = opening_while_speaking(sentence, tmp_path / "alone")[2]
    assert alone > ENOUGH_SPEECH
    assert opening_while_speaking(samples, tmp_path / "later")[2] >= ENOUGH_SPEECH


def test_of_music_alone_as_much_again_is_listened_to_at_most(tmp_path: Path) -> None:
    heard = hear_early(EAR, sound_of(tmp_path / "music", chords(200.0)))
    assert len(heard.speech) == round((LISTENED_SECONDS + 10 * PIECE_SECONDS) * LISTENED_RATE)
