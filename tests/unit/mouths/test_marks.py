import numpy as np
import pytest

from app.faces.agreed import Marking
from app.faces.hidden import CROP_SIZE
from app.mouths.covers import gather
from app.mouths.marks import Marked, Marks, cover_every
from tests.support.mouths import meshes_of, talk

EVERY = cover_every(25.0)

SMILE = (slice(50, 62), slice(30, 66))
"""Where the teeth of a smile are marked, in an aligned crop."""


def seen(marks: Marking, lips: float) -> Marked:
    return Marked(marks, marks, lips, np.full_like(marks, 120))


def doubtful(lips: list[float], *, marked: int = 255, takes: list[int] | None = None) -> list[int]:
    """Return the frames to be looked at of footage with a marked smile; ``lips`` are the frames looked at."""
    count = len(lips) * EVERY
    marks = Marks(count, EVERY)
    for place, share in enumerate(lips):
        cover = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
        cover[SMILE] = marked
        if share > 0.8:
            cover[40:90, 20:70] = 255
        marks.take(EVERY * place, seen(cover, share))
    everywhere = np.zeros(count, np.int32) if takes is None else np.array(takes, np.int32)
    return marks.doubtful(everywhere, np.ones(count, np.bool_), marks.usual(meshes_of(talk(count))[..., :2]))


def test_between_frames_that_hide_what_is_usual_none_is_looked_at_but_the_last() -> None:
    assert doubtful([0.6, 0.62, 0.6, 0.61, 0.6]) == [13, 14]
    assert doubtful([0.0] * 5, marked=0) == [13, 14]


def test_frames_beside_one_that_hides_more_than_is_usual_are_looked_at() -> None:
    assert doubtful([0.6, 0.6, 0.9, 0.6, 0.6]) == [4, 5, 7, 8, 13, 14]


def test_between_two_takes_everything_is_looked_at() -> None:
    assert doubtful([0.6] * 5, takes=[0] * 7 + [1] * 8) == [7, 8, 13, 14]


def test_what_is_skipped_hides_as_much_as_its_neighbours() -> None:
    marks = Marks(6, EVERY)
    for index, share in ((0, 0.01), (3, 0.03)):
        marks.take(index, seen(np.zeros((CROP_SIZE, CROP_SIZE), np.uint8), share))
    assert marks.doubtful(
        np.zeros(6, np.int32), np.ones(6, np.bool_), marks.usual(meshes_of(talk(6))[..., :2])
    ) == [4, 5]
    np.testing.assert_allclose(marks.lips[1:3], 0.03)


def test_marks_of_a_video_that_came_out_otherwise_are_wanted_again() -> None:
    marks = Marks(400, EVERY)
    for index in range(0, 30, 3):
        marks.take(index, seen(np.full((CROP_SIZE, CROP_SIZE), index, np.uint8), 0.5))
    same = np.ones(30, np.bool_)
    same[12] = False
    whole = marks.of(same)
    assert [index for index in range(30) if whole.wants(index)] == [3, 9, 12, 15, 21, 27]
    assert 12 not in whole.kept
    np.testing.assert_array_equal(whole.kept[9], np.full((CROP_SIZE, CROP_SIZE), 9, np.uint8))


@pytest.mark.parametrize(
    ("fps", "every"), [(1, 1), (5, 1), (12, 1), (15, 2), (23.976, 3), (25, 3), (30, 3), (50, 6), (60, 7)]
)
def test_covers_are_looked_for_about_nine_times_a_second(fps: float, every: int) -> None:
    marks = Marks(20, cover_every(fps))
    assert [index for index in range(20) if marks.wants(index)] == list(range(0, 20, every))


def test_what_one_network_alone_finds_keeps_frames_from_lending_but_hides_nothing() -> None:
    nothing, found = np.zeros((2, CROP_SIZE, CROP_SIZE), np.uint8)
    found[40:60, 34:60] = 255
    count = 5 * EVERY
    marks, landmarks = Marks(count, EVERY), meshes_of(talk(count))[..., :2]
    for place, suspects in enumerate((nothing, nothing, found, nothing, nothing)):
        marks.take(EVERY * place, Marked(nothing, suspects, 0.0, nothing))
    usual = marks.usual(landmarks)
    doubtful = marks.doubtful(np.zeros(count, np.int32), np.ones(count, np.bool_), usual)
    assert doubtful == [4, 5, 7, 8, 13, 14]
    covers = gather(marks.lips, marks.kept, marks.suspects, usual, landmarks)
    assert np.flatnonzero(covers.beside).tolist() == [2 * EVERY]
    assert covers.of(2 * EVERY, 25.0) is None


def test_what_one_network_alone_finds_in_most_frames_is_usual() -> None:
    nothing, found = np.zeros((2, CROP_SIZE, CROP_SIZE), np.uint8)
    found[40:60, 34:60] = 255
    marks, landmarks = Marks(30, EVERY), meshes_of(talk(30))[..., :2]
    for index in range(0, 30, EVERY):
        marks.take(index, Marked(nothing, found, 0.0, np.full_like(nothing, 120)))
    covers = gather(marks.lips, marks.kept, marks.suspects, marks.usual(landmarks), landmarks)
    assert not covers.beside.any()
