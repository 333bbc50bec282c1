"""What is drawn of faces that are partly beyond the frame's border."""

import numpy as np
import pytest

from app.avatars import examination, preview
from app.faces.types import Box, FaceTrack
from app.media.frames import FrameLayout
from tests.support.frames import Listed
from tests.unit.avatars.test_doubts import INFO

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
    picture = preview.picture_of(frames, INFO, track(box), 0)
    assert (picture.std() > 0) == drawn


@pytest.mark.parametrize("box", [BESIDE, BELOW])
def test_a_box_beyond_the_border_is_not_sharp(box: Box) -> None:
    frames = Listed([np.full(FrameLayout(320, 240).frame_bytes, 128, np.uint8)])
    assert examination._sharpness(INFO, track(box), frames) == 0
