"""What is drawn of faces that are partly beyond the frame's border."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.avatars import examination, preview
from app.faces.boxes import crop_affine
from app.faces.geometry import composed
from app.faces.leaning import Levelled, levelled
from app.faces.types import Box, FaceTrack
from app.media.frames import FrameLayout
from app.media.sheet import write_sheet
from tests.support.frames import Listed
from tests.support.mouths import box_of
from tests.unit.avatars.test_doubts import INFO
from tests.unit.faces.test_leaning import LIPS, leaning

BESIDE = np.array([100, 160, 330, 400], np.int32)
BELOW = np.array([245, 300, 100, 160], np.int32)
ACROSS = np.array([100, 160, 300, 360], np.int32)


def track(box: Box) -> FaceTrack:
    landmarks = np.full((1, 468, 2), (box[2:].mean(), box[:2].mean()), np.float32)
    meshes = np.zeros((1, 468, 3), np.float32)
    return FaceTrack(box[None], landmarks, meshes, "none", np.zeros(1, np.bool_))


@pytest.mark.parametrize(("box", "drawn"), [(BESIDE, False), (BELOW, False), (ACROSS, True)])
def test_a_box_beyond_the_border_is_drawn_as_far_as_it_is_in_the_frame(box: Box, drawn: bool) -> None:
    frames = Listed([np.full(FrameLayout(320, 240).frame_bytes, 128, np.uint8)])
    picture = preview.picture_of(frames, INFO, track(box), 0, leaning=True)
    assert (picture.std() > 0) == drawn


@pytest.mark.parametrize("leans", [True, False])
def test_the_mask_of_a_head_that_leans_far_is_drawn_as_it_is_laid(leans: bool) -> None:
    """An upright one leaves a part of the lips out, as models with Wav2Lip's interface do."""
    points, layout = leaning(60), FrameLayout(512, 512)
    seen = FaceTrack(
        box_of(points)[None], points[None], np.zeros((1, 468, 3), np.float32), "none", np.zeros(1, np.bool_)
    )
    info = replace(INFO, form=replace(INFO.form, layout=layout))
    frames = Listed([np.full(layout.frame_bytes, 128, np.uint8)])
    picture = preview.picture_of(frames, info, seen, 0, leaning=leans)
    lips = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(lips, [np.rint(cv2.convexHull(points[LIPS])).astype(np.int32)], 255)
    share = (picture[lips > 0].std(axis=1) > 10).mean()
    assert share == 1 if leans else share < 0.9


@pytest.mark.parametrize("box", [ACROSS, BESIDE, np.array([-30, 300, -20, 400], np.int32), None])
def test_a_mask_is_drawn_as_if_the_whole_frame_were_blended(box: Box | None) -> None:
    points = leaning(60)
    level = levelled(points, box_of(points)) if box is None else Levelled(box, None)
    mask = np.add.outer(np.arange(192), np.arange(192)).astype(np.float32)
    mask = np.rint(mask / mask.max() * 255).astype(np.uint8)
    own = np.random.default_rng(1).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    to_frame = crop_affine(level.box, 192)
    if level.to_frame is not None:
        to_frame = composed(level.to_frame, to_frame)
    weight = cv2.warpAffine(mask, to_frame, (512, 512)).astype(np.float32)[:, :, None]
    expected = (own + (preview._MASK_COLOR - own) * weight * (preview._MASK_STRENGTH / 255)).round()
    drawn = own.copy()
    preview._draw_face(drawn, level, mask)
    line = (drawn == preview._BOX_COLOR).all(axis=2)
    near = cv2.dilate(line.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert np.abs(drawn[~near] - expected[~near]).max() <= 3


def test_the_picture_of_a_thin_frame_fits_into_its_tile(tmp_path: Path) -> None:
    """A JPEG of twelve tiles is at most 65535 pixels high."""
    tall, usual = np.zeros((8192, 2, 3), np.uint8), np.zeros((640, 360, 3), np.uint8)
    sizes = []
    for picture in (tall, usual):
        write_sheet(tmp_path / "sheet.jpg", (picture for _ in range(12)), ["0.00 s"] * 12, 4)
        sizes.append(np.asarray(cv2.imread(str(tmp_path / "sheet.jpg"))).shape[:2])
    assert sizes == [(3 * (960 + 22 + 4) + 4, 4 * 324 + 4), (3 * (569 + 22 + 4) + 4, 4 * 324 + 4)]


@pytest.mark.parametrize("box", [BESIDE, BELOW])
def test_a_box_beyond_the_border_is_not_sharp(box: Box) -> None:
    frames = Listed([np.full(FrameLayout(320, 240).frame_bytes, 128, np.uint8)])
    assert examination._sharpness(INFO, track(box), frames) == 0
