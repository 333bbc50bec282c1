"""What of a mouth is seen in its upright picture: the portrait's smile, and its lips bent shut."""

import cv2
import numpy as np
import pytest

from app.media.frames import BgrImage
from app.mouths.looks import parting, sharpness, surroundings
from app.mouths.meeting import SEEN_PARTED
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.upright import in_upright, upright_affine, upright_picture
from tests.support.clips import portrait
from tests.support.frames import i420
from tests.support.shut import LAYOUT, mesh_of, shut_portrait


def parted(picture: BgrImage, more: float = 0.0) -> float:
    """Return the parting of lips that the mesh parts by ``more`` of the eyes' distance than it would."""
    mesh = mesh_of(picture)
    affine = upright_affine(mesh)
    points = in_upright(mesh, affine)
    upright = upright_picture(LAYOUT, i420(picture, LAYOUT), affine)
    for row, side in ((UPPER_LIP_INNER, -0.5), (LOWER_LIP_INNER, 0.5)):
        points[list(row), 1] += side * more * len(upright) / 2
    return parting(upright, points)


def test_teeth_are_seen_between_lips_that_smile() -> None:
    assert parted(portrait()) > SEEN_PARTED


def test_no_more_than_a_line_is_seen_between_lips_that_meet_wherever_the_mesh_has_them() -> None:
    assert parted(shut_portrait()) < SEEN_PARTED
    assert parted(shut_portrait(), more=0.05) < SEEN_PARTED


def test_in_a_blank_picture_nothing_is_seen() -> None:
    assert parting(np.zeros((192, 192, 3), np.uint8), np.zeros((468, 2), np.float32)) == 0


def test_sharpness_falls_by_blurring_and_by_neither_light_nor_contrast() -> None:
    mesh = mesh_of(portrait())
    affine = upright_affine(mesh)
    points = in_upright(mesh, affine)
    upright = upright_picture(LAYOUT, i420(portrait(), LAYOUT), affine)
    sharp = sharpness(upright, points)
    for less in (
        cv2.GaussianBlur(upright, (0, 0), 1.0),
        cv2.blur(upright, (5, 1)),
        cv2.blur(upright, (1, 5)),
    ):
        assert sharpness(np.asarray(less, np.uint8), points) < sharp - 0.1
    for gain, light in ((0.5, 0.0), (0.7, 60.0)):
        other = np.rint(upright * gain + light).astype(np.uint8)
        assert sharpness(other, points) == pytest.approx(sharp, abs=0.06)


def test_nothing_is_sharp_where_nothing_is_seen() -> None:
    grey = np.full((192, 192, 3), 90, np.uint8)
    beyond = np.full((468, 2), 500.0)
    across = np.linspace(0, 191, 936).reshape(468, 2)
    assert sharpness(grey, beyond) == sharpness(grey, across) == 0


def test_surroundings_tell_what_is_beside_the_mouth_whatever_the_light() -> None:
    rng = np.random.default_rng(0)
    face = rng.integers(60, 120, (1, 18, 26, 3)).astype(np.uint8)
    brighter = np.rint((face + 16.0) * (1.6, 1.5, 1.4) - 16).astype(np.uint8)
    mouth, microphone = face.copy(), face.copy()
    mouth[:, 2:, 6:20] = 30
    microphone[:, 4:11, 21:] = 20
    own, *others = surroundings(np.concatenate([face, brighter, mouth, microphone]))
    far = [float(np.linalg.norm(other - own)) for other in others]

    assert far[0] < 0.01
    assert far[1] == 0
    assert far[2] > 0.25
