"""What is drawn of faces that are partly beyond the frame's border."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from app.avatars import examination, preview
from app.faces.types import Box, FaceTrack
from app.media.frames import FrameLayout
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


@pytest.mark.parametrize("box", [BESIDE, BELOW])
def test_a_box_beyond_the_border_is_not_sharp(box: Box) -> None:
    frames = Listed([np.full(FrameLayout(320, 240).frame_bytes, 128, np.uint8)])
    assert examination._sharpness(INFO, track(box), frames) == 0
