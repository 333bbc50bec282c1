"""What lies before faces: kept frame by frame, lasting a little, and told from teeth."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from app.faces.hidden import CROP_SIZE, lips_of
from app.mouths.covers import FIRM, Covers, Usual, gather, without_faint_lips
from app.mouths.meeting import meet
from app.mouths.person import Person
from app.mouths.study import Study
from tests.support.mouths import meshes_of, study_of, talk

FRAMES, FPS = 40, 25.0
NOTHING = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
BARE = Usual(NOTHING, NOTHING, 0.0)


def hand() -> np.ndarray:
    """Return marks of something below the mouth, within the face (whose chin lies at row 62)."""
    marks = NOTHING.copy()
    marks[40:60, 34:60] = 255
    return marks


def covered(frames: dict[int, np.ndarray]) -> Covers:
    landmarks = meshes_of(talk(FRAMES))[:, :, :2]
    return gather(np.zeros(FRAMES, np.float32), frames, frames, BARE, landmarks)


def test_a_cover_is_there_when_it_is_seen_not_before_and_not_after() -> None:
    """Where a hand is still to come, the lips below the laid ones would show."""
    covers = covered({10: hand(), 11: hand()})
    assert [frame for frame in range(FRAMES) if covers.of(frame, FPS) is not None] == [10, 11]
    cover = covers.of(10, FPS)
    assert cover is not None
    assert np.array_equal(cover, hand())


def test_a_cover_that_is_missed_in_a_frame_is_filled_in() -> None:
    moved = np.roll(hand(), -6, axis=1)
    both = covered({10: hand(), 12: moved}).of(11, FPS)
    assert both is not None
    assert np.array_equal(both, np.minimum(hand(), moved))


@pytest.mark.parametrize(("fps", "near"), [(5.0, 1), (25.0, 2), (60.0, 5)])
def test_covers_fill_in_what_was_missed_for_about_a_sixth_of_a_second(fps: float, near: int) -> None:
    for apart, filled in ((2 * near, [10 + near]), (2 * near + 1, [])):
        covers = covered({10: hand(), 10 + apart: hand()})
        frames = [frame for frame in range(FRAMES) if covers.of(frame, fps) is not None]
        assert frames == [10, *filled, 10 + apart]


def test_covers_are_kept_packed() -> None:
    covers = covered(dict.fromkeys(range(FRAMES), hand()))
    assert sum(getattr(covers, field.name).nbytes for field in fields(covers)) < 1000 * FRAMES


def studied(covers: Covers, redness: float = 1.0) -> Study:
    return replace(study_of(talk(FRAMES), redness=[redness]), covers=covers)


def test_frames_with_a_hand_beside_the_mouth_do_not_lend() -> None:
    person = meet(studied(covered({frame: hand() for frame in range(10)})), FPS)
    assert not person.usable[:10].any()
    assert person.usable[10:].all()
    assert person.seen.all()


def test_nor_do_those_with_a_hand_on_the_chin_of_somebody_whose_lips_are_always_marked() -> None:
    """Teeth of a smile or a beard: what is usual says nothing of what else is there."""
    marks = NOTHING.copy()
    marks[50:60, 34:60] = 255
    covers = covered(dict.fromkeys(range(10), marks))
    person = meet(studied(replace(covers, lips=np.full(FRAMES, 0.5, np.float32))), FPS)
    assert not person.usable[:10].any()
    assert person.usable[10:].all()


def test_where_a_hand_is_nearly_always_there_every_mouth_that_is_seen_lends() -> None:
    person = meet(studied(covered({frame: hand() for frame in range(FRAMES - 2)})), FPS)
    assert person.usable.all()


@pytest.mark.parametrize(("redness", "kept"), [(1.0, False), (0.0, True)])
def test_marks_on_lips_whose_red_is_seen_are_teeth(redness: float, kept: bool) -> None:
    """They count where the red is not seen: a caption over the lips."""
    marks = NOTHING.copy()
    marks[30:60, 25:71] = 255
    half = dict.fromkeys(range(0, FRAMES, 2), marks)
    covers = replace(covered(half), lips=np.full(FRAMES, 0.5, np.float32))
    person = meet(studied(covers, redness), FPS)
    person = replace(person, seen=np.ones(FRAMES, np.bool_))
    cover = person.cover(0, _landmarks(person))
    assert cover is not None
    assert person.shows_marked_lips != kept
    assert (int(np.count_nonzero(cover)) == int(np.count_nonzero(marks))) == kept


def test_a_caption_that_is_before_the_lips_all_along_counts_though_their_red_is_seen() -> None:
    marks = NOTHING.copy()
    marks[44:60, 25:71] = 255
    covers = replace(covered(dict.fromkeys(range(FRAMES), marks)), lips=np.full(FRAMES, 0.3, np.float32))
    person = meet(studied(replace(covers, lips_before=np.array(0.3, np.float32))), FPS)
    cover = person.cover(0, _landmarks(person))
    assert person.seen.all()
    assert cover is not None
    assert (cover[50:60, 30:66] == 255).all()


def _landmarks(person: Person) -> np.ndarray:
    return person.study.meshes[0, :, :2]


def test_a_doubtful_mark_covers_its_own_frame_alone() -> None:
    faint = NOTHING.copy()
    faint[56:62, 40:56] = 255
    covers = covered({10: faint})
    assert [frame for frame in range(FRAMES) if covers.of(frame, FPS) is not None] == [10]


def test_what_is_marked_faintly_counts_in_full_where_it_goes_on_to_what_is_marked_firmly() -> None:
    """The tip of a finger does, whose hand lies below the chin; a doubt elsewhere stays one."""
    marks = NOTHING.copy()
    marks[48:70, 40:46] = 60
    marks[70:96, 30:70] = 250
    marks[44:60, 56:62] = 60
    cover = covered({10: marks}).of(10, FPS)
    assert cover is not None
    assert (cover[52:60, 40:46] == 255).all()
    assert (cover[44:60, 56:62] == 60).all()


@pytest.mark.parametrize(("opening", "faint"), [(0.0, 255), (8.0, 60)])
def test_what_is_marked_faintly_on_the_chin_of_a_mouth_that_gapes_stays_a_doubt(
    opening: float, faint: int
) -> None:
    """A chin hangs before the shoulders then, which are marked firmly."""
    marks = NOTHING.copy()
    marks[56:75, 40:56] = 60
    marks[75:96, 20:76] = 250
    landmarks = meshes_of(np.full((1, 1), opening))[:, :, :2]
    cover = gather(np.zeros(1, np.float32), {0: marks}, {}, BARE, landmarks).of(0, FPS)
    assert cover is not None
    assert (cover[57:61, 44:52] == faint).all()


def test_what_lies_beside_the_face_is_not_before_it() -> None:
    """A collar, a neck, what stands behind: the cheeks are laid, and the frame lends."""
    marks = NOTHING.copy()
    marks[72:96] = 255
    marks[:, 90:] = 255
    covers = covered(dict.fromkeys(range(10), marks))
    assert covers.of(5, FPS) is None
    assert meet(studied(covers), 25.0).usable.all()


def lips() -> np.ndarray:
    """Return the ellipse about the lips of a talker's first frame."""
    return lips_of(meshes_of(talk(FRAMES))[0, :, :2])


def marked_on_lips(share: float, beside: int = 0) -> np.ndarray:
    """Return marks of which that share of the lips is firm, the rest of them and a rim around them faint."""
    there = np.argwhere(lips() > 0)
    marks = cv2.dilate(lips(), np.ones((2 * beside + 1,) * 2, np.uint8)).astype(np.uint8) * np.uint8(FIRM - 1)
    for row, column in there[: round(share * len(there))]:
        marks[row, column] = 255
    return marks


@pytest.mark.parametrize(("share", "faint"), [(0.0, 0), (0.01, 0), (0.04, 0.5), (0.2, 1)])
def test_own_lips_that_are_marked_faintly_are_not_let_through(share: float, faint: float) -> None:
    marks = marked_on_lips(share, beside=2)
    after = without_faint_lips(marks, lips()).astype(float)

    known = np.count_nonzero(marks == 255) / lips().sum()
    assert known == pytest.approx(share, abs=0.005)
    if share:
        assert (after[marks == 255] == 255).all()  # the edge of something beside them
    assert after[marks == FIRM - 1].mean() == pytest.approx((FIRM - 1) * faint, rel=0.25)


def test_what_lies_beside_lips_stays() -> None:
    marks = np.maximum(marked_on_lips(0.0), hand())
    far = cv2.dilate(lips(), np.ones((9, 9), np.uint8)) == 0

    np.testing.assert_array_equal(without_faint_lips(marks, lips())[far], hand()[far])


@pytest.mark.parametrize(("count", "gives_way"), [(1, False), (2, False), (3, True)])
def test_a_mouth_does_not_give_way_to_what_is_gone_in_a_moment(count: int, gives_way: bool) -> None:
    assert hidden(range(10, 10 + count), share=0.5).any() == gives_way


def test_a_mouth_of_which_nothing_is_seen_is_hidden_however_briefly() -> None:
    assert np.flatnonzero(hidden(range(10, 11), share=1.0)).tolist() == [10]


def hidden(frames: range, *, share: float) -> np.ndarray:
    """Return in which frames a mouth is hidden whose lips are marked by a share in some."""
    shares = np.zeros(FRAMES, np.float32)
    shares[list(frames)] = share
    return ~meet(studied(replace(covered({}), lips=shares)), FPS).seen
