"""Avatars of what people send: photos, faces on their side, transparent clips, several people, gaps."""

import weakref
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from app.avatars import builder as build
from app.avatars.avatar import open_avatar
from app.avatars.builder import AvatarRequest
from app.avatars.manifest import Manifest
from app.avatars.options import AvatarOptions
from app.avatars.store import FRAMES
from app.errors import InvalidRequest, NoFace
from app.faces.tracking import track_face
from app.faces.types import FaceTrack
from app.notices import NoticeCode
from tests.support import clips
from tests.support.avatars import FORM, builder, no_progress

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def _build(root: Path, video: Path, **options: object) -> Manifest:
    request = AvatarRequest("anna", video, video.name, AvatarOptions(**options))  # type: ignore[arg-type]
    return builder(root).build(request, no_progress)


def _codes(manifest: Manifest) -> list[str]:
    return [warning["code"] for warning in manifest.warnings]


def _lying(path: Path, degrees: int, count: int = 6) -> Path:
    """Write a clip that has to be turned clockwise by ``degrees``."""
    turn = TURNS[(360 - degrees) % 360]
    upright = [clips.moving_portrait(i, 320, 240) for i in range(count)]
    return clips.write_video(path, [np.asarray(cv2.rotate(picture, turn), np.uint8) for picture in upright])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_photo_becomes_an_avatar_of_one_frame(tmp_path: Path, suffix: str) -> None:
    photo = tmp_path / f"photo.{suffix}"
    cv2.imwrite(str(photo), clips.portrait())

    manifest = _build(tmp_path / "avatars", photo)

    assert (manifest.frame_count, manifest.face_frames) == (1, 1)
    assert manifest.fps == 25
    assert manifest.warnings == []


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (2, 2), (3, 5), (1, 300), (2000, 1), (4000, 2), (5, 90)]
)
def test_a_picture_of_hardly_any_pixels_has_no_face(tmp_path: Path, width: int, height: int) -> None:
    cv2.imwrite(str(tmp_path / "dot.png"), np.full((height, width, 3), 90, np.uint8))
    with pytest.raises(NoFace):
        _build(tmp_path / "avatars", tmp_path / "dot.png")


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_face_on_its_side_is_turned_upright_and_that_is_said(tmp_path: Path, degrees: int) -> None:
    manifest = _build(tmp_path / "avatars", _lying(tmp_path / "a.mp4", degrees))

    assert manifest.treatment.rotate == degrees
    assert (manifest.width, manifest.height) == (320, 240)
    assert manifest.face_frames == 6
    assert _codes(manifest) == [NoticeCode.ROTATED]


def test_a_face_that_is_lost_by_turning_it_upright_is_followed_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "turn_of", lambda _: 90)
    manifest = _build(tmp_path / "avatars", clips.talking_head(tmp_path / "a.mp4", 0.2))
    assert manifest.treatment.rotate == 0
    assert (manifest.face_frames, manifest.warnings) == (5, [])


def test_a_track_is_not_kept_beside_that_of_the_video_turned_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten minutes it takes as much memory as the other one."""
    tracks: list[weakref.ref[FaceTrack]] = []

    def follow(*given: Any, **options: Any) -> FaceTrack:
        assert not [track for track in tracks if track()]
        track = track_face(*given, **options)
        tracks.append(weakref.ref(track))
        return track

    monkeypatch.setattr(build, "track_face", follow)
    _build(tmp_path / "avatars", _lying(tmp_path / "a.mp4", 90))
    assert len(tracks) == 2


def test_frames_of_a_turned_video_are_rebuilt_exactly(tmp_path: Path) -> None:
    _build(tmp_path / "avatars", _lying(tmp_path / "a.mp4", 90))
    made = builder(tmp_path / "avatars")
    frames = made.store.path("anna") / FRAMES
    before = frames.read_bytes()
    frames.unlink()

    open_avatar(made.store, made.cache, "anna", FORM).close()

    assert frames.read_bytes() == before


def test_a_turn_that_was_asked_for_is_made_and_no_other_is_tried(tmp_path: Path) -> None:
    video = _lying(tmp_path / "a.mp4", 90)

    turned = _build(tmp_path / "turned", video, rotate=90)
    assert (turned.treatment.rotate, turned.warnings) == (90, [])
    with pytest.raises(NoFace):
        _build(tmp_path / "wrong", video, rotate=270)


@pytest.mark.parametrize("options", [{"face": "7"}, {"pads": (-0.4999,) * 4}])
def test_who_shows_a_face_but_not_what_is_asked_for_is_told_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.setattr(build, "find_turn", lambda *_: pytest.fail("turned"))
    video = clips.talking_head(tmp_path / "a.mp4", 0.2)
    with pytest.raises(NoFace, match=r"only one face is|pads leave nothing"):
        _build(tmp_path / "avatars", video, **options)


def test_who_shows_no_face_is_told_what_was_tried(tmp_path: Path) -> None:
    blank = clips.write_video(tmp_path / "a.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 5)

    with pytest.raises(NoFace, match="neither upright nor turned by 90, 180 or 270 degrees"):
        _build(tmp_path / "avatars", blank)


def test_a_face_that_is_gone_for_a_while_is_said(tmp_path: Path) -> None:
    empty = np.full((240, 320, 3), 90, np.uint8)
    shown = [clips.moving_portrait(i, 320, 240) for i in range(10)]
    manifest = _build(tmp_path / "avatars", clips.write_video(tmp_path / "a.mp4", shown + [empty] * 15))

    lost = [warning for warning in manifest.warnings if warning["code"] == NoticeCode.FACE_LOST]
    assert lost[0]["seconds"] == pytest.approx(0.6, abs=0.17)


def test_a_mouth_that_is_hidden_for_a_while_is_said(tmp_path: Path) -> None:
    shown = [clips.moving_portrait(i, 640, 480) for i in range(12)]
    for picture in shown[8:]:
        cv2.rectangle(picture, (280, 185), (390, 330), (60, 160, 60), -1)
    manifest = _build(tmp_path / "avatars", clips.write_video(tmp_path / "a.mp4", shown))

    assert _codes(manifest) == [NoticeCode.HIDDEN_MOUTH]
    assert manifest.warnings[0]["seconds"] == pytest.approx(0.16, abs=0.09)


def test_several_faces_are_said(tmp_path: Path) -> None:
    pair = [np.hstack([clips.moving_portrait(i, 240, 240)] * 2) for i in range(6)]

    assert _codes(_build(tmp_path / "avatars", clips.write_video(tmp_path / "a.mp4", pair))) == [
        NoticeCode.SEVERAL_FACES
    ]


def test_a_face_too_small_to_show_its_mouth_is_said(tmp_path: Path) -> None:
    manifest = _build(tmp_path / "avatars", clips.talking_head(tmp_path / "a.mp4", 0.4, 25, 160, 120))

    told = next(warning for warning in manifest.warnings if warning["code"] == NoticeCode.SMALL_FACE)
    assert told["seconds"] == pytest.approx(0.4)
    assert "64 pixels" in told["detail"]


def test_a_cut_is_said(tmp_path: Path) -> None:
    shown = [clips.moving_portrait(i, 640, 480) for i in range(12)]
    shown[6:] = [np.ascontiguousarray(255 - np.roll(255 - picture, 190, axis=1)) for picture in shown[6:]]
    manifest = _build(tmp_path / "avatars", clips.write_video(tmp_path / "a.mp4", shown))

    (told,) = manifest.warnings
    assert told["code"] == NoticeCode.CUTS
    assert "once" in told["detail"]


@pytest.mark.parametrize("background", ["red", "#fff", "http://host/a.png", "/etc/passwd", "#12345g", ""])
def test_a_background_is_a_colour_or_blur(background: str) -> None:
    with pytest.raises(InvalidRequest, match="background is a colour"):
        AvatarOptions(background=background)
