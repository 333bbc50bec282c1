"""Sound in which nobody speaks: the mouth rests, and that is said."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.notices import Notice, NoticeCode
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from app.wav2lip.infer import Wav2LipInfer
from tests.support import clips
from tests.support.avatars import no_progress
from tests.support.speaking import SPEECH

RATE = 16000


def chords(seconds: float) -> npt.NDArray[np.float32]:
    """Return three tones that swell three times a second: music, to an ear."""
    times = np.arange(round(seconds * RATE)) / RATE
    notes = np.sin(2 * np.pi * np.array([220, 277, 330])[:, None] * times).sum(axis=0)
    return np.asarray(0.12 * (1 + 0.8 * np.sin(2 * np.pi * 3 * times)) * notes, np.float32)


def unspoken(renderer: Renderer, sound: Path, folder: Path) -> list[Notice]:
    report = renderer.render(RenderRequest("anna", sound), Workspace(folder), no_progress)
    return [told for told in report.warnings if told["code"] == NoticeCode.NO_SPEECH]


def test_music_without_words_is_said_for_as_long_as_it_lasts(renderer: Renderer, tmp_path: Path) -> None:
    words = clips.beginning(SPEECH, tmp_path / "words.wav", 2.0)
    silence = clips.write_wav(tmp_path / "silence.wav", np.zeros(2 * RATE, np.float32))
    music = clips.write_wav(tmp_path / "music.wav", chords(3.0))
    assert unspoken(renderer, words, tmp_path / "a") == unspoken(renderer, silence, tmp_path / "b") == []
    told = unspoken(renderer, music, tmp_path / "c")
    if isinstance(renderer.infer, Wav2LipInfer):  # it does not listen for speech
        assert told == []
    else:
        assert told[0]["seconds"] == pytest.approx(3.0, abs=0.2)
