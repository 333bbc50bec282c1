"""What is said of videos before an avatar is made of them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.avatars.builder import AvatarRequest
from app.avatars.examination import Examination
from app.errors import NoFace
from app.media.frames import BgrImage
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.clips import moving_portrait

WIDTH, HEIGHT = 640, 480
Change = Callable[[int, BgrImage], BgrImage]


@cache
def portrait(index: int) -> BgrImage:
    return moving_portrait(index, WIDTH, HEIGHT)


def covered(index: int, picture: BgrImage) -> BgrImage:
    """A cup before the mouth, in the last four frames."""
    picture = picture.copy()
    if index >= 8:
        cv2.rectangle(picture, (280, 185), (390, 330), (60, 160, 60), -1)
    return picture


CHANGES: dict[str, Change] = {
    "small-face": lambda index, picture: moving_portrait(index, 240, 180),
    "dark-face": lambda index, picture: np.asarray(picture // 9, np.uint8),
    "soft-face": lambda index, picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.5), np.uint8),
    "face-lost": lambda index, picture: picture if index < 6 else np.full_like(picture, 90),
    "hidden-mouth": covered,
    "cuts": lambda index, picture: (
        picture if index < 6 else np.ascontiguousarray(255 - np.roll(255 - picture, 190, axis=1))
    ),
}


def look(tmp_path: Path, change: Change, frames: int = 12) -> Examination:
    video = tmp_path / "video.mp4"
    clips.write_video(video, [change(index, portrait(index)) for index in range(frames)])
    made = builder(tmp_path / "avatars")
    found = made.examine(AvatarRequest("check", video, "v.mp4"), tmp_path / "sheet.jpg", no_progress)
    assert list((tmp_path / "avatars").iterdir()) == []
    return found


def codes(found: Examination) -> set[str]:
    return {reason.code for reason in found.reasons}


def test_a_clear_face_that_never_opens_its_mouth_is_fair_for_that_alone(tmp_path: Path) -> None:
    found = look(tmp_path, lambda index, picture: picture)
    assert (found.verdict, codes(found)) == ("fair", {"few-open-mouths"})
    assert (found.width, found.height, found.frame_count, found.face_frames) == (640, 480, 12, 12)
    assert found.measured.face_height > 140
    assert 100 < found.measured.brightness < 230
    assert found.measured.sharpness > 0.45
    assert found.measured.turn < 30
    (reason,) = found.reasons
    assert (reason.frames, reason.seconds) == (0, 0.0)


@pytest.mark.parametrize("code", CHANGES)
def test_what_stands_in_the_way_is_named(tmp_path: Path, code: str) -> None:
    found = look(tmp_path, CHANGES[code])
    assert code in codes(found), found
    assert found.verdict in ("fair", "poor")
    for reason in found.reasons:
        assert reason.detail.endswith(".")
        assert " 1 times" not in reason.detail


def test_of_a_mouth_that_is_never_seen_nothing_is_said_to_be_drawn(tmp_path: Path) -> None:
    found = look(tmp_path, lambda index, picture: covered(8, picture))
    (reason,) = [reason for reason in found.reasons if reason.code == "hidden-mouth"]
    assert reason.detail.endswith("Film it with nothing before the mouth.")
    assert "few-open-mouths" not in codes(found)


@pytest.mark.parametrize("code", ["face-lost", "hidden-mouth"])
def test_it_says_in_how_many_frames(tmp_path: Path, code: str) -> None:
    (reason,) = [reason for reason in look(tmp_path, CHANGES[code]).reasons if reason.code == code]
    assert reason.frames is not None
    assert reason.seconds == pytest.approx(reason.frames / 25)
    assert 4 <= reason.frames <= 8


def test_the_sheet_shows_frames_with_the_box_drawn_in(tmp_path: Path) -> None:
    look(tmp_path, lambda index, picture: picture)
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet is not None
    assert sheet.shape[1] == 4 * 324 + 4
    blue, green, red = (sheet[..., channel].astype(int) for channel in range(3))
    assert ((green - red > 20) & (green - blue > 20)).sum() > 12 * 100


def test_a_video_without_a_face_is_refused_as_an_avatar_is(tmp_path: Path) -> None:
    with pytest.raises(NoFace):
        look(tmp_path, lambda index, picture: np.full_like(picture, 90))
