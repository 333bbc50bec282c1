"""The service's own way from a video and a sound to a finished MP4, without HTTP in between."""

import shutil
from pathlib import Path

from app.avatars.builder import AvatarRequest
from app.media.files import replacing
from app.rendering.renderer import RenderRequest
from app.rendering.workspace import Workspace
from app.settings import Settings
from app.workshop import Workshop
from training.evaluation.halves import Sound, write_wav


class Service:
    """A workshop with one model, whose volumes lie in a folder of its own."""

    def __init__(self, model: Path, folder: Path) -> None:
        """Load ``model``; raises what the service raises for a model that it cannot use."""
        self._folder = folder
        self._workshop = Workshop.open(
            Settings(
                _env_file=None,
                model=model,
                avatars_dir=folder / "avatars",
                data_dir=folder / "data",
                frames_dir=None,
            )
        )

    def make_avatar(self, name: str, video: Path) -> None:
        """Make the avatar ``name`` of a video; raises NoFace and the like, AvatarExists for a second one."""
        self._workshop.builder.build(AvatarRequest(name, video, video.name), _no_progress)

    def speak(self, avatar: str, sound: Sound, result: Path) -> Path:
        """Have an avatar say a sound; the MP4 is moved to ``result``."""
        folder = self._folder / "renders" / result.stem
        folder.mkdir(parents=True, exist_ok=True)
        words = write_wav(folder / "words.wav", sound)
        workspace = Workspace(folder)
        self._workshop.renderer.render(RenderRequest(avatar, words), workspace, _no_progress)
        with replacing(result) as temporary:
            shutil.copyfile(workspace.result, temporary)
        shutil.rmtree(folder)
        return result


def _no_progress(_: int, __: int) -> None:
    return
