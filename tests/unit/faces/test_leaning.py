from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.faces.leaning import MOST_LEANING, lean_of, levelled
from app.faces.mask import mouth_mask
from app.faces.types import FaceLandmarks
from tests.support.faces import portrait_face
from tests.support.mouths import box_of

SIZE = 64
LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]


def leaning(degrees: float) -> FaceLandmarks:
    """Return the portrait's landmarks with a head that leans so far."""
    points = portrait_face()[0]
    angle = np.radians(degrees) - lean_of(points)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = points.mean(axis=0)
    return np.asarray((points - middle) @ turn.T + middle, np.float32)


def mask_over_frame(landmarks: FaceLandmarks) -> npt.NDArray[np.float64]:
    """Return the mask of a levelled face over the portrait's frame, 0..1."""
    level = levelled(landmarks, box_of(landmarks))
    top, bottom, left, right = level.box
    mask = mouth_mask(level.points(landmarks), level.box, SIZE)
    to_crop = np.array([[SIZE / (right - left), 0], [0, SIZE / (bottom - top)]])
    affine = np.column_stack([to_crop, to_crop @ (0.5 - np.array([left, top])) - 0.5])
    if level.to_frame is not None:
        back = cv2.invertAffineTransform(level.to_frame)
        affine = np.column_stack([to_crop @ back[:, :2], to_crop @ back[:, 2] + affine[:, 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask, affine, (512, 512), flags=flags), np.float64) / 255


@pytest.mark.parametrize("degrees", [-90, -60, -45, -30, 30, 45, 60, 90])
def test_the_lips_of_a_head_on_its_side_are_covered_in_full(degrees: float) -> None:
    landmarks = leaning(degrees)
    lips = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(lips, [np.rint(cv2.convexHull(landmarks[LIPS])).astype(np.int32)], 255)
    assert mask_over_frame(landmarks)[lips > 0].min() > 0.95


@pytest.mark.parametrize("degrees", [-19.9, 0, 12, 19.9])
def test_a_head_that_leans_a_little_keeps_its_box(degrees: float) -> None:
    landmarks = leaning(degrees)
    box = box_of(landmarks)
    level = levelled(landmarks, box)
    assert level.box is box
    assert level.to_frame is None
    assert level.points(landmarks) is landmarks


def test_no_head_leans_further_in_its_crop() -> None:
    for degrees in range(-175, 180, 10):
        landmarks = leaning(degrees)
        level = levelled(landmarks, box_of(landmarks))
        assert abs(lean_of(level.points(landmarks))) < MOST_LEANING + 1e-3


def test_a_head_that_leans_more_and_more_takes_its_mask_along_without_a_step() -> None:
    masks = [mask_over_frame(leaning(degrees)) for degrees in np.arange(19, 23, 0.25)]
    steps = [float(np.abs(after - before).mean()) for before, after in pairwise(masks)]
    assert max(steps) < 2 * float(np.median(steps))


def test_a_profile_does_not_lean() -> None:
    landmarks = leaning(0)
    eyes = landmarks[[33, 263]].mean(axis=0)
    landmarks[[33, 263]] = eyes + np.array([[0, -4], [3, 4]], np.float32)
    assert abs(lean_of(landmarks)) < np.radians(5)
