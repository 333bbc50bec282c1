"""Seam and sharpness of a face of noise, on its side too, with a mouth that was changed there."""

from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from app.avatars.avatar import Avatar
from app.faces.boxes import crop_affine
from app.faces.geometry import composed, mapped
from app.faces.leaning import lean_of, levelled
from app.faces.mask import mouth_mask
from app.media.frames import FrameLayout
from app.rendering.comparing import Pair
from app.rendering.framing import Framing
from tests.support.faces import portrait_face
from tests.support.frames import Listed
from tests.support.mouths import box_of

LAYOUT = FrameLayout(512, 512)
SIZE = 160


def changed_pair(degrees: float, left: float = 0) -> Pair:
    """Return a face that leans by so much, and the same with a brighter and blurred lower half.

    It lies ``left`` pixels to the left of where it is in the portrait.
    """
    points = portrait_face()[0] - np.array([left, 0], np.float32)
    middle = tuple(points.mean(axis=0).tolist())
    angle = np.degrees(lean_of(points)) - degrees
    turn = np.asarray(cv2.getRotationMatrix2D(middle, angle, 1.0), np.float64)
    landmarks = mapped(points, turn).astype(np.float32)
    own = np.full(LAYOUT.frame_bytes, 128, np.uint8)
    noise = np.random.default_rng(0).integers(60, 140, (512, 512)).astype(np.uint8)
    LAYOUT.planes(own)[0][:] = cv2.GaussianBlur(noise, (0, 0), 1)
    level = levelled(landmarks, box_of(landmarks))
    to_frame = crop_affine(level.box, SIZE)
    if level.to_frame is not None:
        to_frame = composed(level.to_frame, to_frame)
    mask = mouth_mask(level.points(landmarks), level.box, SIZE)
    share = cv2.warpAffine(mask, to_frame, (512, 512)).astype(np.float32) / 255
    made = own.copy()
    luma = LAYOUT.planes(made)[0]
    soft = cv2.GaussianBlur(luma, (0, 0), 3) + 30.0
    luma[:] = np.rint(luma + share * (soft - luma))
    avatar = SimpleNamespace(
        layout=LAYOUT, frames=Listed([own]), boxes=box_of(landmarks)[None], landmarks=landmarks[None]
    )
    return Pair(made, cast(Avatar, avatar), 0, Framing(LAYOUT, 0, 0, 512, 512, LAYOUT), leaning=True)


@pytest.mark.parametrize("degrees", [-75, -45, 45, 60, 90])
def test_a_mouth_of_a_head_on_its_side_is_measured_where_it_was_changed(degrees: float) -> None:
    upright, pair = changed_pair(0), changed_pair(degrees)
    seams, expected = pair.seams(), upright.seams()
    assert seams is not None
    assert expected is not None
    assert seams[0] == pytest.approx(expected[0], rel=0.1)
    assert seams[0] > 5 * seams[1]
    details, expected = pair.details(), upright.details()
    assert details is not None
    assert expected is not None
    assert details[0] / details[1] == pytest.approx(expected[0] / expected[1], rel=0.15)


def test_what_a_frame_cuts_off_of_a_mouth_on_its_side_is_no_detail() -> None:
    within, beyond = changed_pair(45).details(), changed_pair(45, left=200).details()
    assert within is not None
    assert beyond is not None
    assert beyond[0] / beyond[1] == pytest.approx(within[0] / within[1], rel=0.2)
