import cv2
import numpy as np
import pytest

from app.faces.types import FaceLandmarks
from app.media.frames import Plane
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.seam import seam_of
from tests.support.mouths import MIDDLE, PIXELS, front_mesh

SCALE = 3.0
INNER = {*UPPER_LIP_INNER, *LOWER_LIP_INNER}


def a_face(turned: float = 0.0) -> FaceLandmarks:
    """The portrait's mesh, 96 pixels between the inner eyes, its lips shut, rolled by some degrees."""
    mesh = (SCALE * (PIXELS * front_mesh()[:, :2] + MIDDLE[:2])).astype(np.float32)
    middle = (mesh[list(UPPER_LIP_INNER)] + mesh[list(LOWER_LIP_INNER)]) / 2
    for row, below in ((UPPER_LIP_INNER, -1.0), (LOWER_LIP_INNER, 1.0)):
        mesh[list(row)] = middle
        mesh[list(row), 1] += below
    roll = cv2.getRotationMatrix2D((480, 360), turned, 1.0)
    return (mesh @ roll[:, :2].T + roll[:, 2]).astype(np.float32)


def picture(mesh: FaceLandmarks, shift: FaceLandmarks) -> Plane:
    """Skin with a dark line where the inner lips of ``mesh`` meet, moved by ``shift``."""
    luma = np.full((720, 960), 150, np.uint8)
    line = (mesh[list(UPPER_LIP_INNER)] + mesh[list(LOWER_LIP_INNER)]) / 2 + shift
    cv2.polylines(luma, [np.rint(16 * line).astype(np.int32)], False, 60, 2, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), 1.0), np.uint8)


@pytest.mark.parametrize("turned", [0.0, 25.0])
@pytest.mark.parametrize("by", [-4.0, 0.0, 3.0])
def test_shut_lips_meet_where_the_picture_is_darkest(by: float, turned: float) -> None:
    mesh = a_face(turned)
    along = (mesh[263] - mesh[33]) / np.linalg.norm(mesh[263] - mesh[33])
    shift = (by * np.array([-along[1], along[0]])).astype(np.float32)
    found = seam_of(picture(mesh, shift), mesh)
    middle = (mesh[list(UPPER_LIP_INNER)] + mesh[list(LOWER_LIP_INNER)]) / 2
    assert found[list(UPPER_LIP_INNER)] == pytest.approx(found[list(LOWER_LIP_INNER)])
    assert np.abs(found[list(UPPER_LIP_INNER)][1:-1] - middle[1:-1] - shift).max() < 1.2
    assert found[61] - mesh[61] == pytest.approx(shift, abs=1.5)


def test_nothing_but_the_inner_lips_and_the_corners_is_moved() -> None:
    mesh = a_face()
    found = seam_of(picture(mesh, np.array([0, 3], np.float32)), mesh)
    others = sorted(set(range(468)) - INNER - {61, 291})
    assert np.array_equal(found[others], mesh[others])


def test_where_no_line_is_seen_lips_meet_in_their_middle() -> None:
    mesh = a_face()
    found = seam_of(np.full((720, 960), 150, np.uint8), mesh)
    middle = (mesh[list(UPPER_LIP_INNER)] + mesh[list(LOWER_LIP_INNER)]) / 2
    assert found[list(UPPER_LIP_INNER)] == pytest.approx(middle, abs=1e-3)
