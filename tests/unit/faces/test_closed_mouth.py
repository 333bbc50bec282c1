import numpy as np
import pytest

from app.faces.closed_mouth import STILL_POINTS, closed_references, head_affine, mouth_openings
from app.faces.types import FaceLandmarks, Landmarks

RNG = np.random.default_rng(2)
BASE = RNG.uniform(100, 200, (468, 2)).astype(np.float32)
DEPTH = RNG.uniform(-1, 1, 468).astype(np.float32)
LOWER_LIP = (178, 87, 14, 317, 402)
UPPER_LIP = (81, 82, 13, 312, 311)


def face(opening: float, *, turn: float = 0.0) -> FaceLandmarks:
    """A face with eyes 100 pixels apart; turning moves near points against far ones."""
    points = BASE.copy()
    points[33], points[263] = (100, 120), (200, 120)
    points[list(UPPER_LIP)] = [(140 + 4 * k, 180) for k in range(5)]
    points[list(LOWER_LIP)] = [(140 + 4 * k, 180 + 100 * opening) for k in range(5)]
    points[:, 0] += 40 * turn * DEPTH
    return points


def video(openings: list[float], turns: list[float] | None = None) -> Landmarks:
    turns = turns or [0.0] * len(openings)
    return np.stack([face(gap, turn=turn) for gap, turn in zip(openings, turns, strict=True)])


def test_the_opening_is_the_lips_gap_over_the_eyes_distance() -> None:
    assert mouth_openings(video([0.0, 0.1, 0.3])) == pytest.approx([0, 0.1, 0.3], abs=1e-6)


def test_every_frame_borrows_the_closed_mouth() -> None:
    openings = [0.2, 0.3, 0.0, 0.25, 0.4, 0.1, 0.2, 0.3]
    assert closed_references(video(openings)).tolist() == [2] * 8


def test_a_head_that_turned_for_long_borrows_from_its_own_side() -> None:
    openings = [0.2] * 60 + [0.2] * 60
    openings[10], openings[80] = 0.0, 0.0
    for frame in (11, 12, 13, 81, 82, 83, 14, 84, 15, 85, 16, 86):
        openings[frame] = 0.01
    references = closed_references(video(openings, [0.0] * 60 + [1.0] * 60))
    assert (references[:60] < 60).all()
    assert (references[60:] >= 60).all()
    assert len(set(references.tolist())) == 2


def test_a_short_turn_does_not_change_the_reference() -> None:
    openings = [0.0] * 5 + [0.2] * 90 + [0.0] * 5
    turns = [0.0] * 95 + [0.05] * 5
    assert len(set(closed_references(video(openings, turns)).tolist())) == 1


def test_frames_in_a_pose_that_no_closed_mouth_fits_borrow_from_the_most_closed_of_them() -> None:
    openings = [0.0] * 20 + [0.4, 0.3, 0.2, 0.4]
    references = closed_references(video(openings, [0.0] * 20 + [3.0] * 4))
    assert (references[:20] < 20).all()
    assert references[20:].tolist() == [22] * 4


def test_a_frame_that_is_alone_in_its_pose_is_its_own_reference() -> None:
    references = closed_references(video([0.0] * 20 + [0.4, 0.3], [0.0] * 20 + [3.0, -3.0]))
    assert references[20:].tolist() == [20, 21]


def test_frames_without_a_face_borrow_nothing() -> None:
    landmarks = video([0.2, 0.0, 0.1])
    landmarks[2] = np.nan
    assert closed_references(landmarks).tolist() == [1, 1, -1]
    assert closed_references(np.full((2, 468, 2), np.nan, np.float32)).tolist() == [-1, -1]


def test_the_head_s_map_leads_from_the_target_to_the_reference() -> None:
    target = face(0.1)
    linear, shift = np.array([[1.1, 0.05], [-0.05, 1.1]]), np.array([7.0, -3.0])
    reference = (target @ linear.T + shift).astype(np.float32)
    affine = head_affine(target, reference)
    assert np.allclose(affine[:, :2], linear, atol=1e-4)
    assert np.allclose(affine[:, 2], shift, atol=1e-2)


def test_moving_lips_do_not_move_the_head() -> None:
    still = set(STILL_POINTS)
    assert not still & {*LOWER_LIP, *UPPER_LIP, 0, 17, 152, 61, 291}
    affine = head_affine(face(0.0), face(0.4))
    assert np.allclose(affine, np.eye(2, 3), atol=1e-5)
