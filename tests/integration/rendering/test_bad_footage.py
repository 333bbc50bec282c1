"""Footage that nobody would film on purpose becomes an avatar and speaks all the same."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.avatars.builder import AvatarRequest
from app.media.frames import BgrImage
from app.media.limits import AudioLimits
from app.mouths.model import LipModel
from app.notices import NoticeCode
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.models import form_of
from tests.support.talkers import talking_frames
from tests.support.videos import decode

WIDTH, HEIGHT = 320, 240
Filmed = Callable[[], list[BgrImage]]


def gray() -> BgrImage:
    return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def every_third_shows_a_face() -> list[BgrImage]:
    return [frame if index % 3 == 0 else gray() for index, frame in enumerate(talking_frames(48))]


def a_hundred_cuts() -> list[BgrImage]:
    """Each take is two frames long, in another place, light and size than the one before."""
    frames = []
    for index, frame in enumerate(talking_frames(202)):
        take = index // 2
        light = (0.5, 0.8, 1.1)[take % 3]
        scale = 1 + 0.4 * (take % 2)
        move = np.array([[scale, 0, 40 * (take % 4 - 1.5) * scale], [0, scale, 10 * (take % 3 - 1)]])
        moved = cv2.warpAffine(frame, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        frames.append(np.clip(moved * light, 0, 255).astype(np.uint8))
    return frames


def two_people_who_swap_places() -> list[BgrImage]:
    frames = []
    for index, frame in enumerate(talking_frames(40)):
        one, other = frame[:, 60:260], np.ascontiguousarray(cv2.flip(frame[:, 60:260], 1))
        small = cv2.resize(other, (160, 192))
        there = cv2.copyMakeBorder(small, 24, 24, 0, 0, cv2.BORDER_REPLICATE)
        pair = [one[:, 20:180], there]
        frames.append(np.ascontiguousarray(np.hstack(pair if index < 20 else pair[::-1])))
    return frames


FOOTAGE: dict[str, tuple[Filmed, int]] = {
    "a_fifth_of_a_second": (lambda: talking_frames(5), 25),
    "one_frame": (lambda: talking_frames(1), 25),
    "a_face_in_every_third_frame": (every_third_shows_a_face, 25),
    "a_hundred_cuts": (a_hundred_cuts, 25),
    "120_frames_a_second": (lambda: talking_frames(60), 120),
    "two_people_who_swap_places": (two_people_who_swap_places, 25),
}


@pytest.mark.parametrize(("filmed", "fps"), FOOTAGE.values(), ids=FOOTAGE)
def test_odd_footage_speaks(filmed: Filmed, fps: int, model: LipModel, tmp_path: Path) -> None:
    made = builder(tmp_path / "avatars", form=form_of(model))
    video = clips.write_video(tmp_path / "video.mp4", filmed(), fps)
    manifest = made.build(AvatarRequest("anna", video, video.name), no_progress)
    assert manifest.face_frames > 0
    workspace = Workspace(tmp_path / "job")
    renderer = Renderer(model, made.store, made.cache, AudioLimits(60))
    words = clips.speech(tmp_path / "words.wav", 1.4)
    report = renderer.render(RenderRequest("anna", words), workspace, no_progress)
    if filmed is every_third_shows_a_face:
        assert manifest.face_frames < manifest.frame_count / 2
        assert NoticeCode.MOUTH_UNCHANGED in [told["code"] for told in report.warnings]
    assert len(decode(workspace.result).frames) == round(1.4 * fps)
