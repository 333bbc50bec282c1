"""A Wav2Lip model's mouths with the footage's pixels: only their shape is the model's."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from app.audio.windows import MelTrack
from app.avatars.avatar import open_avatar
from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.media.limits import AudioLimits
from app.media.sound import decode_sound
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.timeline import Timeline
from app.rendering.wanted import GeneratedShapes
from app.rendering.workspace import Workspace
from app.wav2lip.arrays import FaceCrops, MelWindows
from app.wav2lip.infer import Wav2LipInfer
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.models import form_of, tiny_model
from tests.support.talkers import talker
from tests.support.videos import decode

SPEECH = Path(__file__).parents[3] / "demo/speech.wav"


class Opens:
    """Stands for a model that makes every mouth as open as in one frame of the footage."""

    batch_size = 4

    def __init__(self, widest: FaceCrops) -> None:
        self._widest = widest

    def render(self, windows: MelWindows, crops: FaceCrops, references: FaceCrops) -> FaceCrops:
        assert len(windows) == len(crops) == len(references)
        return np.repeat(self._widest[None], len(crops), axis=0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Wav2LipInfer:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, model: Wav2LipInfer) -> AvatarBuilder:
    root = tmp_path_factory.mktemp("people")
    made = builder(root / "avatars", form=form_of(model))
    video = talker(root / "talker.mp4")
    made.build(AvatarRequest("talker", video, video.name), no_progress)
    return made


def test_the_shape_that_a_model_makes_is_read_off_its_faces(
    people: AvatarBuilder, model: Wav2LipInfer, tmp_path: Path
) -> None:
    words = clips.beginning(SPEECH, tmp_path / "words.wav", 1.0)
    sound = decode_sound(words, AudioLimits(60), tmp_path / "track", tmp_path / "speech")
    with open_avatar(people.store, people.cache, "talker", form_of(model)) as avatar:
        wide = int(avatar.person.openings.argmax())
        assert avatar.faces is not None
        stand_in = cast(Wav2LipInfer, Opens(avatar.faces.crops[wide]))
        timeline = Timeline(25, Fraction(25), len(avatar.person), Fraction(25))
        read = GeneratedShapes(stand_in, avatar, MelTrack(sound), timeline, 0.0)
        shapes = read.ask(range(10)).shapes
        assert shapes[:, 0] == pytest.approx(avatar.person.shapes[wide, 0], abs=1.0)
        assert np.array_equal(read.ask(range(4, 8)).shapes, shapes[4:8])


def test_the_footage_lends_the_pixels_and_the_rest_of_the_picture_stays(
    people: AvatarBuilder, model: Wav2LipInfer, tmp_path: Path
) -> None:
    words = clips.beginning(SPEECH, tmp_path / "words.wav", 1.0)
    renderer = Renderer(model, people.store, people.cache, AudioLimits(60))
    videos = []
    for detail in ("model", "footage"):
        workspace = Workspace(tmp_path / detail)
        options = replace(RenderOptions(), detail=detail)
        renderer.render(RenderRequest("talker", words, options), workspace, no_progress)
        videos.append(decode(workspace.result))
    assert [len(video.frames) for video in videos] == [25, 25]
    with open_avatar(people.store, people.cache, "talker", form_of(model)) as avatar:
        layout, (top, bottom, left, right) = avatar.layout, avatar.boxes[0].tolist()
    generated, lent = (
        np.stack([layout.planes(frame)[0] for frame in video.frames]).astype(int) for video in videos
    )
    changed = np.abs(generated - lent).mean(axis=0)
    assert changed[(top + bottom) // 2 : bottom, left:right].mean() > 2.0
    changed[top:bottom, left:right] = 0
    assert changed.mean() < 0.5
