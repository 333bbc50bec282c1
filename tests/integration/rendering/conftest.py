from collections.abc import Callable
from pathlib import Path

import pytest

from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.media.limits import AudioLimits
from app.mouths.model import LipModel
from app.rendering.renderer import Renderer
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.models import default_model, tiny_model


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    """Avatars: ``anna`` moves for half a second, ``blank`` does so but hides her face in between."""
    root = tmp_path_factory.mktemp("studio")
    made = builder(root / "avatars")
    video = clips.talking_head(root / "anna.mp4", 0.48)
    made.build(AvatarRequest("anna", video, video.name), no_progress)
    frames = [clips.moving_portrait(index, 320, 240) for index in range(24)]
    for frame in frames[8:16]:
        frame[:] = 90
    video = clips.write_video(root / "blank.mp4", frames)
    made.build(AvatarRequest("blank", video, video.name), no_progress)
    return made


@pytest.fixture(scope="session", params=["chosen", "generated"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LipModel:
    """The default model, whose mouths are chosen, and a tiny one with Wav2Lip's interface."""
    return default_model() if request.param == "chosen" else tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def renderer(studio: AvatarBuilder, model: LipModel) -> Renderer:
    return Renderer(model, studio.store, studio.cache, AudioLimits(max_seconds=600))


@pytest.fixture
def speech(tmp_path: Path) -> Callable[[float], Path]:
    return lambda seconds: clips.speech(tmp_path / f"speech-{seconds}.wav", seconds)
