"""Which way a face that was followed is to be turned."""

import numpy as np
import pytest

from app.avatars.turning import turn_of
from app.faces.types import Landmarks
from tests.support.mouths import front_mesh


def heads(*, side: float = 0.0, down: float = 0.0, lean: float = 0.0) -> Landmarks:
    """Return landmarks of five heads that look so many degrees to the side and down, and lean clockwise."""
    (a, b, c), mesh = np.radians([side, down, lean]), front_mesh()
    aside = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nodded = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    leant = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    points = 30 * mesh @ (leant @ nodded @ aside).T + 200
    return np.repeat(points[None, :, :2], 5, axis=0).astype(np.float32)


@pytest.mark.parametrize(
    ("lean", "turn"), [(0, 0), (50, 0), (-50, 0), (90, 270), (-95, 90), (179, 180), (-179, 180)]
)
def test_a_head_that_lies_is_turned_upright(lean: float, turn: int) -> None:
    faces = heads(lean=lean)
    faces[2] = np.nan
    assert turn_of(faces) == turn


@pytest.mark.parametrize("down", [-25.0, 25.0])
@pytest.mark.parametrize("side", [-88.0, 88.0])
def test_a_profile_that_nods_is_upright_though_one_eye_is_above_the_other(side: float, down: float) -> None:
    assert turn_of(heads(side=side, down=down)) == 0
