import cv2
import numpy as np
import pytest

from app.mouths.mesh import CropMesh
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.teeth import shown_teeth
from tests.support.packs import face_crop


def test_a_smile_shows_teeth_and_a_dark_or_red_mouth_does_not() -> None:
    smile = face_crop()
    points, _ = CropMesh().fit([smile], 1.0)
    lips = np.round(points[0, [78, 81, 13, 311, 308, 402, 14, 178], :2] * 128 - 0.5).astype(np.int32)
    dark, red = smile.copy(), smile.copy()
    cv2.fillPoly(dark, [lips], (10, 10, 10))
    cv2.fillPoly(red, [lips], (60, 60, 160))
    teeth = shown_teeth([smile, dark, red], np.repeat(points, 3, axis=0), 1.0)
    assert teeth[0].sum() > 1
    assert (teeth[1] < 0.3 * teeth[0]).all()
    assert (teeth[2] < 0.3 * teeth[0]).all()


def test_the_upper_and_the_lower_row_are_told_apart() -> None:
    smile = face_crop()
    points, _ = CropMesh().fit([smile], 1.0)
    places = points[0, :, :2] * 128 - 0.5
    upper, lower = places[list(UPPER_LIP_INNER)], places[list(LOWER_LIP_INNER)]
    dark_below = smile.copy()
    outline = np.round(np.concatenate([(upper + lower) / 2, lower[::-1]])).astype(np.int32)
    cv2.fillPoly(dark_below, [outline], (10, 10, 10))
    whole, half = shown_teeth([smile, dark_below], np.repeat(points, 2, axis=0), 1.0)
    assert half[0] > 0.4 * whole[0]
    assert half[1] < 0.15 * whole[1]


def test_teeth_count_the_same_in_a_larger_picture_and_for_a_squeezed_face() -> None:
    smile = face_crop()
    points, _ = CropMesh().fit([smile], 1.0)
    plain = shown_teeth([smile], points, 1.0)[0].sum()
    larger = np.asarray(cv2.resize(smile, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR), np.uint8)
    assert shown_teeth([larger], points, 1.0)[0].sum() == pytest.approx(
        plain, rel=0.25
    )  # edges count more in a small one
    narrow = shown_teeth([smile], points, 0.5)[0].sum()
    assert narrow == pytest.approx(2 * plain, rel=0.1)  # half the area, a quarter of the eyes' square


def test_a_point_outside_of_the_picture_does_no_harm() -> None:
    points = np.full((1, 468, 3), 1.4, np.float32)
    assert np.isfinite(shown_teeth([face_crop()], points, 1.0)).all()
