"""Grimaces that are marked as if something were before the face."""

import numpy as np
import pytest

from app.faces.hidden import CROP_SIZE, alignment, in_crop, lips_hidden
from app.mouths.grimaces import forget_grimaces
from app.mouths.marks import Marked, Marks
from tests.support.mouths import meshes_of, talk

COUNT, FRAME = 20, 10
LANDMARKS = meshes_of(talk(COUNT))[:, :, :2]
NOTHING = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)


def smirk() -> np.ndarray:
    """Return marks over the mouth and the chin (which lies at row 62), within the face."""
    marks = NOTHING.copy()
    marks[44:58, 38:58] = 250
    return marks


def hand() -> np.ndarray:
    """Return the same, going on to an arm."""
    marks = smirk()
    marks[58:, 30:90] = 250
    return marks


def marked(marks: np.ndarray, red: float = 0.8, parting: float = 1.0) -> Marks:
    """Return what is left of the marks of one frame whose lips show so much red, others 1."""
    found = Marks(COUNT, 1)
    for frame in range(COUNT):
        own = marks if frame == FRAME else NOTHING
        points = in_crop(alignment(LANDMARKS[frame]), LANDMARKS[frame])
        found.take(frame, Marked(own, lips_hidden(own, points), NOTHING))
    redness = np.where(np.arange(COUNT) == FRAME, red, 1.0).astype(np.float32)
    forget_grimaces(found, redness, np.full(COUNT, parting, np.float32), LANDMARKS)
    return found


def test_a_mark_within_the_face_on_lips_whose_red_is_seen_is_a_grimace() -> None:
    found = marked(smirk())
    assert found.lips[FRAME] == 0
    assert not found.kept[FRAME].any()


@pytest.mark.parametrize(("marks", "red"), [(hand(), 0.8), (smirk(), 0.5)])
def test_what_comes_from_outside_and_what_hides_the_red_is_before_the_face(
    marks: np.ndarray, red: float
) -> None:
    found = marked(marks, red)
    assert found.lips[FRAME] > 0.1
    assert np.array_equal(found.kept[FRAME], marks)


def test_a_grimace_beside_a_hand_goes_alone() -> None:
    marks = smirk()
    marks[70:, 30:90] = 250
    marks[68, 30:90] = 30
    found = marked(marks)
    assert found.lips[FRAME] == 0
    assert (found.kept[FRAME][70:, 30:90] == 250).all()
    assert (found.kept[FRAME][68, 30:90] == 30).all()


def test_lips_that_meet_are_compared_with_those_that_meet() -> None:
    found = Marks(COUNT, 1)
    parting = np.where(np.arange(COUNT) % 2, 1.0, 8.0).astype(np.float32)
    redness = np.where(parting > 3, 2.0, 0.8).astype(np.float32)
    for frame in range(COUNT):
        own = smirk() if frame == 11 else NOTHING
        points = in_crop(alignment(LANDMARKS[frame]), LANDMARKS[frame])
        found.take(frame, Marked(own, lips_hidden(own, points), NOTHING))
    redness[11] = 0.7
    forget_grimaces(found, redness, parting, LANDMARKS)
    assert found.lips[11] == 0


def test_without_frames_that_nothing_covers_marks_stay() -> None:
    found = Marks(COUNT, 1)
    for frame in range(COUNT):
        points = in_crop(alignment(LANDMARKS[frame]), LANDMARKS[frame])
        found.take(frame, Marked(smirk(), lips_hidden(smirk(), points), NOTHING))
    before = found.lips.copy()
    forget_grimaces(found, np.ones(COUNT, np.float32), np.ones(COUNT, np.float32), LANDMARKS)
    assert np.array_equal(found.lips, before)
