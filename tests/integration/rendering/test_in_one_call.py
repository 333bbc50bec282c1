from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.errors import AvatarExists
from app.media.decoder import DecoderHere
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo
from app.media.treatment import Treatment
from app.mouths.model import LipModel
from app.progress import Alive, nothing
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from app.workshop import Workshop
from tests.support import clips
from tests.support.avatars import LIMITS, builder, no_progress


class _Counting(DecoderHere):
    """Counts how often a video was looked at."""

    probes = 0

    def probe(self, video: Path, limits: VideoLimits, treatment: Treatment, alive: Alive) -> VideoInfo:
        self.probes += 1
        return super().probe(video, limits, treatment, alive)


def test_a_video_that_comes_with_its_speech_is_looked_at_once(
    renderer: Renderer, model: LipModel, tmp_path: Path
) -> None:
    decoder = _Counting()
    made: AvatarBuilder = replace(builder(tmp_path / "avatars"), decoder=decoder)
    workshop = Workshop(model, made, renderer)
    video = clips.talking_head(tmp_path / "a.mp4", 0.4)
    speech = clips.speech(tmp_path / "a.wav", 0.6)

    manifest = workshop.build_ahead(
        AvatarRequest("anna", video, "a.mp4"),
        RenderRequest("anna", speech),
        Workspace(tmp_path / "job"),
        no_progress,
    )

    assert (manifest.frame_count, decoder.probes) == (10, 1)


@pytest.mark.parametrize(("implicit", "anew"), [(True, True), (False, False)])
def test_one_that_a_release_before_made_of_pixels_that_are_not_square_is_made_anew(
    renderer: Renderer, model: LipModel, tmp_path: Path, implicit: bool, anew: bool
) -> None:
    made = builder(tmp_path / "avatars")
    workshop = Workshop(model, made, renderer)
    frames = [clips.moving_portrait(index, 270, 288) for index in range(5)]
    video = clips.write_video(tmp_path / "pal.mp4", frames, aspect=Fraction(64, 45))
    avatar = AvatarRequest("implicit-pal", video, "pal.mp4", implicit=implicit)
    before = replace(avatar.treatment, square=False)
    made.build(avatar, no_progress, info=made.decoder.probe(video, LIMITS, before, nothing))
    rendering = RenderRequest(avatar.id, clips.speech(tmp_path / "a.wav", 0.2)), Workspace(tmp_path / "job")

    for again in (anew, False):
        with nullcontext() if again else pytest.raises(AvatarExists):
            workshop.build_ahead(avatar, *rendering, no_progress)
        assert made.store.manifest(avatar.id).treatment.square is anew
