"""A frame's own jaw gives way to a mouth that is laid: its line is a painted edge."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.faces.hidden import CROP_SIZE
from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame
from app.mouths.covers import FaceCover
from app.mouths.points import JAW
from app.rendering.jaws import MOST, TREMOR, GivingJaw
from app.rendering.stillness import SAMPLES, Still
from tests.support.frames import Listed
from tests.support.mouths import person_of

LAYOUT = FrameLayout(320, 300)
FACE, NECK = 180, 60
LARGE = 8
CHIN, BROW = 152, 168
MIDDLE = JAW.index(CHIN)


def mesh() -> FaceLandmarks:
    points: FaceLandmarks = person_of(np.zeros((5, 1))).study.meshes[2, :, :2].copy()
    return points


def raised(points: FaceLandmarks, up: float) -> FaceLandmarks:
    """Return a mesh whose jaw lies higher by ``up`` pixels."""
    higher = points.copy()
    higher[list(JAW), 1] -= np.float32(up)
    return higher


def portrait(points: FaceLandmarks) -> I420Frame:
    """Return a bright face, down to its jaw, before something dark."""
    frame = np.full(LAYOUT.frame_bytes, 128, np.uint8)
    luma = LAYOUT.planes(frame)[0]
    luma[:] = NECK
    cv2.fillConvexPoly(luma, np.rint(cv2.convexHull(points)).astype(np.int32), FACE)
    return frame


def chin_of(frame: I420Frame, points: FaceLandmarks) -> float:
    """Return the row down to which a face is bright, in the middle of its jaw."""
    column = LAYOUT.planes(frame)[0][:, round(float(points[CHIN, 0]))].astype(np.float64)
    return float(np.flatnonzero(column > (FACE + NECK) / 2)[-1])


def moved(
    frame: I420Frame, points: FaceLandmarks, laid: FaceLandmarks, cover: FaceCover | None = None
) -> I420Frame:
    result = frame.copy()
    jaw = GivingJaw.to(laid, points, cover)
    if jaw is not None:
        jaw.move(LAYOUT, result)
    return result


@pytest.mark.parametrize("up", [2.0, 5.0, 8.0])
def test_a_jaw_that_would_be_seen_below_is_brought_up(up: float) -> None:
    own = mesh()
    frame = portrait(own)

    after = moved(frame, own, raised(own, up))

    assert chin_of(frame, own) - chin_of(after, own) == pytest.approx(up, abs=1.0)


def test_the_mesh_goes_with_the_picture() -> None:
    own = mesh()
    jaw = GivingJaw.to(raised(own, 6.0), own)

    assert jaw is not None
    np.testing.assert_allclose(own[CHIN] - jaw.landmarks[CHIN], (0, 6), atol=0.5)
    others = np.setdiff1d(np.arange(len(own)), JAW)
    np.testing.assert_array_equal(jaw.landmarks[others], own[others])


@pytest.mark.parametrize("up", [0.0, 0.1, -6.0])
def test_a_jaw_that_the_laid_one_covers_stays(up: float) -> None:
    own = mesh()

    assert GivingJaw.to(raised(own, up), own) is None


def test_a_mesh_that_trembles_moves_no_neck() -> None:
    own = LARGE * mesh()
    height = float(np.linalg.norm(own[CHIN] - own[BROW]))
    assert TREMOR * height > 1

    assert GivingJaw.to(raised(own, TREMOR * height), own) is None
    jaw = GivingJaw.to(raised(own, 4 * TREMOR * height), own)
    assert jaw is not None
    assert -jaw.moves[MIDDLE, 1] == pytest.approx(3 * TREMOR * height, rel=0.15)


def test_what_is_far_from_the_jaw_stays() -> None:
    own = mesh()
    frame = portrait(own)
    LAYOUT.planes(frame)[0][:] = 40 + np.arange(LAYOUT.height)[:, None] // 2
    after = moved(frame, own, raised(own, 6.0))
    height = float(np.linalg.norm(own[CHIN] - own[BROW]))

    before, luma = (LAYOUT.planes(one)[0] for one in (frame, after))
    far = own[CHIN, 1] + 0.35 * height < np.arange(LAYOUT.height)
    assert far.sum() >= 10
    np.testing.assert_array_equal(luma[far], before[far])
    brow = int(own[BROW, 1])
    np.testing.assert_array_equal(luma[:brow], before[:brow])


def test_nothing_folds() -> None:
    own = mesh()
    frame = portrait(own)
    LAYOUT.planes(frame)[0][:] = np.minimum(np.arange(LAYOUT.height), 255)[:, None]
    after = moved(frame, own, raised(own, 200.0))

    column = LAYOUT.planes(after)[0][:, round(float(own[CHIN, 0]))].astype(int)
    assert (np.diff(column) >= 0).all()
    height = float(np.linalg.norm(own[CHIN] - own[BROW]))
    assert (column - np.arange(LAYOUT.height))[:255].max() == pytest.approx(MOST * height, abs=2)


def test_a_hand_before_the_chin_stays() -> None:
    own = mesh()
    frame = portrait(own)
    cover = FaceCover.of(np.full((CROP_SIZE, CROP_SIZE), 255, np.uint8), own)

    np.testing.assert_array_equal(moved(frame, own, raised(own, 6.0), cover=cover), frame)


@pytest.mark.parametrize("flip", [1, -1])
def test_a_profile_whose_far_jaw_folds_back_is_moved_to_one_side_of_its_line(flip: int) -> None:
    own = mesh()
    far = list(JAW)[MIDDLE + 2 :]
    own[far, 0] = own[CHIN, 0] + flip * (own[far, 0] - own[CHIN, 0]) / 2
    jaw = GivingJaw.to(raised(own, 6.0), own)

    assert jaw is not None
    along = np.gradient(own[list(JAW)].astype(np.float64), axis=0)
    side = along[:, 0] * jaw.moves[:, 1] - along[:, 1] * jaw.moves[:, 0]
    assert (side <= 1e-6).all() or (side >= -1e-6).all()


def words(points: FaceLandmarks, frame: I420Frame) -> slice:
    """Write something just below a jaw; return its rows."""
    top = round(float(points[CHIN, 1])) + 4
    luma = LAYOUT.planes(frame)[0]
    luma[top : top + 12, 60:260:4] = 250
    luma[top : top + 12, 62:260:4] = 10
    return slice(top, top + 12)


def test_words_that_stand_still_below_a_chin_that_moves_are_not_bent() -> None:
    own = mesh()
    heads = np.stack([own + np.array((0, 2.0 * (place % 3)), np.float32) for place in range(SAMPLES)])
    frames = [portrait(points) for points in heads]
    for frame in frames:
        rows = words(own, frame)
    still = Still.of(LAYOUT, Listed(frames), np.arange(SAMPLES), heads)
    bent, kept = frames[0].copy(), frames[0].copy()
    jaw = GivingJaw.to(raised(own, 6.0), own)
    assert jaw is not None
    assert still is not None
    jaw.move(LAYOUT, bent)
    jaw.move(LAYOUT, kept, still)

    before, moved, held = (LAYOUT.planes(one)[0][rows].astype(int) for one in (frames[0], bent, kept))
    assert np.abs(moved - before).mean() > 5
    assert np.abs(held - before).mean() < 0.1 * np.abs(moved - before).mean()


def test_of_a_head_that_does_not_move_nobody_knows_what_stands_still() -> None:
    own = mesh()
    frames = [portrait(own) for _ in range(SAMPLES)]

    shot, heads = np.arange(SAMPLES), np.stack([own] * SAMPLES)
    moving = heads + 9 * (shot % 2)[:, None, None].astype(np.float32)

    assert Still.of(LAYOUT, Listed(frames), shot, heads) is None
    assert Still.of(LAYOUT, Listed(frames), shot[:-1], moving) is None
    assert Still.of(LAYOUT, Listed(frames), shot, moving) is not None


@pytest.mark.parametrize("offset", [(0, 190), (-150, 0), (170, 60), (0, 400)])
def test_a_jaw_at_the_border_of_the_frame(offset: tuple[int, int]) -> None:
    own = mesh() + np.array(offset, np.float32)
    frame: npt.NDArray[np.uint8] = np.full(LAYOUT.frame_bytes, 77, np.uint8)

    np.testing.assert_array_equal(moved(frame, own, raised(own, 6.0)), frame)
