"""What of a mouth is seen in its upright picture: the portrait's smile, and its lips bent shut."""

import numpy as np

from app.media.frames import BgrImage
from app.mouths.looks import parting
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
