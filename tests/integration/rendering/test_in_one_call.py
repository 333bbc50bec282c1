from dataclasses import replace
from pathlib import Path

from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.media.decoder import DecoderHere
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo
from app.media.treatment import Treatment
from app.mouths.model import LipModel
from app.progress import Alive
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from app.workshop import Workshop
from tests.support import clips
from tests.support.avatars import builder, no_progress


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
