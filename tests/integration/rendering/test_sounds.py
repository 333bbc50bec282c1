"""What is heard and what the mouth follows: a voice beside the audio, the video's own sound under it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.avatars.store import AvatarStore
from app.errors import AvatarDeleted, InvalidRequest, NotAudio
from app.media.frames import I420Frame
from app.media.limits import AudioLimits
from app.media.sound import decode_sound
from app.mouths.model import LipModel
from app.notices import NoticeCode
from app.rendering import renderer as renderer_module
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.sounds import with_own_sound
from app.rendering.workspace import Workspace
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.models import tiny_model
from tests.support.renders import decode_samples
from tests.support.sounds import add_sound

Speech = Callable[[float], Path]
RATE = 16000
TONE = 3000
"""The sound of the footage, Hz; speech-like sounds have hardly any of it."""


def tone(seconds: float, hertz: float, level: float = 0.3) -> npt.NDArray[np.float32]:
    """Return a steady tone, float32 (samples,)."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    """``anna`` has a tone for a sound, two seconds long; ``mute`` has none."""
    root = tmp_path_factory.mktemp("sounding")
    made = builder(root / "avatars")
    mute = clips.talking_head(root / "mute.mp4", 2.0)
    video = add_sound(mute, root / "anna.mov", tone(2.0, TONE)[None], RATE, 0)
    made.build(AvatarRequest("anna", video, video.name), no_progress)
    made.build(AvatarRequest("mute", mute, mute.name), no_progress)
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LipModel:
    """A model whose mouths are as quick to make as can be."""
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def renderer(sounding: AvatarBuilder, model: LipModel) -> Renderer:
    return Renderer(model, sounding.store, sounding.cache, AudioLimits(600))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


def frames_of(renderer: Renderer, workspace: Workspace, request: RenderRequest) -> list[I420Frame]:
    with renderer.open(request, workspace, lambda: None) as render:
        return [frame.copy() for frame in render.maker.make(range(render.frame_count))]


def rendered(
    renderer: Renderer, workspace: Workspace, request: RenderRequest
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return the sound of a result, float32 (samples,), and the codes of its warnings."""
    report = renderer.render(request, workspace, no_progress)
    assert {path.name for path in workspace.folder.iterdir()} == {"plan.json", "result.mp4"}
    return decode_samples(workspace.result)[0], [told["code"] for told in report.warnings]


def level(samples: npt.NDArray[np.float32], start: float, stop: float, hertz: float) -> float:
    """Return the amplitude of a tone between two moments, seconds."""
    part = samples[round(start * RATE) : round(stop * RATE)]
    turning = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / RATE)
    return float(2 * np.abs((part * turning).mean()))


def loud(path: Path, seconds: float) -> Path:
    """Write noise, at which the mouths of the tiny model are seen to open."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, round(seconds * RATE))
    return clips.write_wav(path, noise.astype(np.float32))


def test_the_mouth_follows_the_voice_while_the_audio_is_heard(renderer: Renderer, tmp_path: Path) -> None:
    music, voice = clips.write_wav(tmp_path / "music.wav", tone(1.0, 500)), loud(tmp_path / "voice.wav", 1.0)
    sung = RenderRequest("anna", music, voice=voice)
    frames = frames_of(renderer, Workspace(tmp_path / "a"), sung)
    spoken = frames_of(renderer, Workspace(tmp_path / "b"), RenderRequest("anna", voice))
    played = frames_of(renderer, Workspace(tmp_path / "d"), RenderRequest("anna", music))
    assert all((one == other).all() for one, other in zip(frames, spoken, strict=True))
    assert not (frames[6] == played[6]).all()
    samples, codes = rendered(renderer, Workspace(tmp_path / "c"), sung)
    assert level(samples, 0.2, 0.9, 500) == pytest.approx(0.3, abs=0.02)
    assert codes == []


@pytest.mark.parametrize(("seconds", "apart"), [(0.5, 0.5), (1.6, 0.6)])
def test_a_voice_of_another_length_is_padded_or_cut_and_that_is_said(
    renderer: Renderer, tmp_path: Path, seconds: float, apart: float
) -> None:
    music = clips.write_wav(tmp_path / "music.wav", tone(1.0, 500))
    workspace = Workspace(tmp_path / "a")
    request = RenderRequest("anna", music, voice=loud(tmp_path / "voice.wav", seconds))
    report = renderer.render(request, workspace, no_progress)
    assert (report.frame_count, report.duration) == (25, 1.0)
    (told,) = report.warnings
    assert told["code"] == NoticeCode.VOICE_LENGTH
    assert told["seconds"] == pytest.approx(apart)
    if seconds < 1:
        silence = clips.write_wav(tmp_path / "silence.wav", np.zeros(RATE, np.float32))
        frames = frames_of(renderer, Workspace(tmp_path / "b"), request)
        resting = frames_of(renderer, Workspace(tmp_path / "c"), RenderRequest("anna", silence))
        assert (frames[20] == resting[20]).all()
        assert not (frames[6] == resting[6]).all()


def test_a_render_as_long_as_its_clip_decodes_no_more_sound_than_that(
    renderer: Renderer, workspace: Workspace, tmp_path: Path
) -> None:
    audio, voice = clips.write_wav(tmp_path / "a.wav", tone(20, 500)), loud(tmp_path / "b.wav", 30)
    request = RenderRequest("anna", audio, RenderOptions(length="video", quality="draft"), voice)
    with renderer.open(request, workspace, lambda: None) as render:
        assert workspace.track.stat().st_size < 2.5 * RATE * 2
        assert workspace.speech.stat().st_size < 2.5 * RATE * 4
        assert render.duration == pytest.approx(2.0)
        told = {notice["code"]: notice["seconds"] for notice in render.notices}
    assert told == {NoticeCode.SOUND_CUT: pytest.approx(18), NoticeCode.VOICE_LENGTH: pytest.approx(10)}


def test_a_voice_is_decoded_no_further_than_its_audio_lasts(
    renderer: Renderer, workspace: Workspace, tmp_path: Path
) -> None:
    request = RenderRequest("anna", clips.write_wav(tmp_path / "a.wav", tone(1, 500)))
    with renderer.open(replace(request, voice=loud(tmp_path / "b.wav", 30)), workspace, lambda: None):
        assert workspace.speech.stat().st_size < 1.5 * RATE * 4


def test_sound_cut_to_a_clip_is_decoded_again_for_one_that_is_longer_than_its_header_told(
    renderer: Renderer, workspace: Workspace, tmp_path: Path
) -> None:
    audio = clips.write_wav(tmp_path / "a.wav", tone(20, 500))
    request = RenderRequest("anna", audio, RenderOptions(length="video"))
    lengths = [
        renderer.listen(request, frames, Fraction(25), workspace, lambda: None).duration
        for frames in (25, 75, 50)
    ]
    assert lengths == pytest.approx([1, 3, 3], abs=0.2)


def test_a_voice_that_is_none_is_refused_by_its_name(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    with pytest.raises(NotAudio, match=r"^voice: "):
        renderer.render(RenderRequest("anna", speech(0.3), voice=text), workspace, no_progress)


def pause_word_pause(path: Path) -> Path:
    """Write a second of silence, one of a voice, and two of silence."""
    signal = np.zeros(4 * RATE, np.float32)
    signal[RATE : 2 * RATE] = tone(1.0, 300)
    return clips.write_wav(path, signal)


def test_the_own_sound_stays_under_the_new_one_and_gives_way_to_words(
    renderer: Renderer, workspace: Workspace, tmp_path: Path
) -> None:
    words = pause_word_pause(tmp_path / "words.wav")
    options = RenderOptions(keep_sound=0.5, quality="draft", loop="restart")
    samples, codes = rendered(renderer, workspace, RenderRequest("anna", words, options))
    assert level(samples, 0.2, 0.9, TONE) == pytest.approx(0.15, abs=0.02)
    assert level(samples, 1.3, 1.9, TONE) < 0.05
    assert level(samples, 1.3, 1.9, 300) == pytest.approx(0.3, abs=0.02)
    assert level(samples, 3.2, 3.9, TONE) == pytest.approx(0.15, abs=0.02)
    assert len(samples) == pytest.approx(4 * RATE, abs=1024)
    assert codes == [NoticeCode.SOUND_LONGER_THAN_CLIP]


def test_a_clip_that_is_held_has_been_heard(renderer: Renderer, workspace: Workspace, tmp_path: Path) -> None:
    words = pause_word_pause(tmp_path / "words.wav")
    options = RenderOptions(keep_sound=1, quality="draft", loop="hold", start=1.0)
    samples, _ = rendered(renderer, workspace, RenderRequest("anna", words, options))
    assert level(samples, 0.2, 0.9, TONE) == pytest.approx(0.3, abs=0.03)
    assert level(samples, 3.2, 3.9, TONE) < 0.01


def test_a_video_without_sound_has_none_to_keep(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    options = RenderOptions(keep_sound=1, quality="draft")
    _, codes = rendered(renderer, workspace, RenderRequest("mute", speech(0.5), options))
    assert codes == [NoticeCode.WITHOUT_EFFECT]


def test_all_who_open_a_render_have_the_same_mixture(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    request = RenderRequest("anna", speech(2.5), RenderOptions(keep_sound=1))
    with renderer.open(request, workspace, lambda: None):
        (mixture,) = workspace.folder.glob("mixture*")
        first = mixture.read_bytes()
        assert len(first) == round(2.5 * RATE) * 2
        born = mixture.stat().st_mtime_ns
        with renderer.open(request, workspace, lambda: None):
            assert mixture.stat().st_mtime_ns == born
        mixture.unlink()
        with renderer.open(request, workspace, lambda: None):
            assert mixture.read_bytes() == first


def test_an_avatar_that_replaces_another_is_heard_and_not_that_one(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    words, options = speech(1.0), RenderOptions(keep_sound=1, quality="draft")
    with renderer.open(RenderRequest("anna", words, options), workspace, lambda: None):
        pass  # and then its worker dies, and the avatar is replaced
    _, codes = rendered(renderer, workspace, RenderRequest("mute", words, options))
    assert codes == [NoticeCode.WITHOUT_EFFECT]
    assert not list(workspace.folder.glob("mixture*"))


def test_the_sound_of_an_avatar_that_took_the_id_meanwhile_is_not_mixed_in(
    renderer: Renderer, workspace: Workspace, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RenderRequest("anna", speech(1.0), RenderOptions(keep_sound=1, quality="draft"))
    manifest = renderer.store.manifest("anna")
    later = replace(manifest, created_at=manifest.created_at + timedelta(seconds=1))

    def replaced_first(*given: Any) -> Any:
        monkeypatch.setattr(AvatarStore, "manifest", lambda *_: later)
        return with_own_sound(*given)

    monkeypatch.setattr(renderer_module, "with_own_sound", replaced_first)
    with pytest.raises(AvatarDeleted), renderer.open(request, workspace, lambda: None):
        pass
    assert not list(workspace.folder.glob("mixture*"))


@pytest.mark.parametrize("wrong", [{"keep_sound": 1.1}, {"keep_sound": -0.1}, {"keep_sound": float("nan")}])
def test_levels_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="keep_sound"):
        RenderOptions(**wrong)


def test_a_video_whose_sound_goes_on_for_hours_is_heard_as_long_as_its_pictures(tmp_path: Path) -> None:
    limits = AudioLimits(sys.maxsize, used_seconds=Fraction(2))
    mute = clips.talking_head(tmp_path / "mute.mp4", 0.2)
    late = add_sound(mute, tmp_path / "late.mkv", tone(9, TONE)[None], RATE, 10_000)
    track, speech = tmp_path / "track", tmp_path / "speech"
    sound = decode_sound(late, limits, track, speech)
    assert 2.0 <= sound.duration < 2.3
    assert sound.whole == pytest.approx(10_009, abs=0.1)
    assert track.stat().st_size == sound.samples * 2
