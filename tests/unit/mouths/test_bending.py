from functools import cache

import numpy as np
import pytest

from app.faces.types import FaceLandmarks, Landmarks
from app.mouths.bending import BENT, NODES, Placing, bend, place
from app.mouths.person import Person
from tests.support.mouths import PIXELS, heads_of, person_of

REGION = 120, 220, 100, 220
"""Top, bottom, left, right of the lower face of a made-up frame."""
OPEN = 3.0


@cache
def footage() -> Person:
    """Ten frames of a shut mouth, then ten of an open one; the last ones on a turned head."""
    wanted = np.where(np.arange(30)[:, None] // 10 == 1, OPEN, 0.0)
    return person_of(wanted, turns=np.where(np.arange(30) < 20, 0.0, 9.0))


def landmarks() -> Landmarks:
    return heads_of(footage())


def placed(frame: int, lender: int, opened: float = 0.0) -> Placing:
    lack = np.zeros(6)
    lack[0] = opened
    return place(footage(), landmarks(), frame, lender, lack)


def field_at(placing: Placing, frame: int, points: FaceLandmarks) -> FaceLandmarks:
    """Return the displacement at points of the frame, from the nearest node of the field."""
    both = bend(placing, landmarks()[frame], REGION)
    assert both.shape == (*NODES, 4)
    field = both[..., :2] + both[..., 2:]
    top, bottom, left, right = REGION
    size = np.array([(right - left) / NODES[1], (bottom - top) / NODES[0]])
    nodes = np.floor((points - (left, top)) / size).astype(int)
    found: FaceLandmarks = field[nodes[:, 1], nodes[:, 0]]
    return found


def test_a_lender_of_the_wanted_shape_is_only_laid() -> None:
    placing = placed(0, 5)
    assert not placing.moves.any()
    assert np.abs(bend(placing, landmarks()[0], REGION)).max() < 1e-6
    assert (placing.points == placing.laid).all()
    assert placing.laid == pytest.approx(landmarks()[5], abs=0.05)


def test_a_mouth_is_laid_onto_a_head_that_leans_is_nearer_and_elsewhere() -> None:
    angle, heads = np.radians(12), landmarks().copy()
    turn = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    heads[0] = heads[0] @ turn.T + (20, -40)
    laid = place(footage(), heads, 0, 5, np.zeros(6)).laid
    assert laid == pytest.approx(heads[0], abs=0.05)


@pytest.mark.parametrize(("frame", "turned"), [(5, False), (25, True)])
def test_points_move_as_far_as_the_shape_lacks(frame: int, turned: bool) -> None:
    placing = placed(frame, 5, OPEN)
    wanted = landmarks()[15][BENT] - landmarks()[5][BENT]
    assert np.abs(wanted).max() > 0.1 * PIXELS
    assert placing.moves == pytest.approx(wanted, abs=0.6 if turned else 0.1)
    assert (placing.points - placing.laid)[BENT] == pytest.approx(placing.moves, abs=1e-3)
    others = np.setdiff1d(np.arange(468), BENT)
    assert (placing.points == placing.laid)[others].all()


def test_the_field_leads_back_from_where_points_are_to_where_the_lender_has_them() -> None:
    placing = placed(5, 5, OPEN)
    back = field_at(placing, 5, placing.points[[14, 17, 13]])
    expected = -(placing.points - placing.laid)[[14, 17, 13]]
    assert np.abs(back - expected).max() < 0.25 * np.abs(expected).max()


def test_a_jaw_lies_where_the_turned_head_has_it() -> None:
    """An affine map of the eyes, the nose and the forehead knows nothing of how far a chin is before them."""
    placing = placed(25, 5)
    chin = [152, 148, 377, 17]
    flat = placing.laid - placing.turned.astype(np.float32)
    there = landmarks()[25]
    assert np.abs(placing.laid - there)[chin].max() < 0.3 * np.abs(flat - there)[chin].max()
    back = field_at(placing, 25, there[chin])
    assert back == pytest.approx(-placing.turned[chin] @ placing.head[:, :2].T, abs=0.6)


def test_the_eyes_and_the_nose_stay_where_they_are() -> None:
    placing = placed(5, 5, OPEN)
    still = landmarks()[5][[2, 98, 327]]
    assert np.abs(field_at(placing, 5, still)).max() < 0.15 * np.abs(placing.moves).max()
