"""Upper teeth stay on the skull, lower ones go with the lip; a dark line is painted between the two rows."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame
from app.mouths.bending import Placing, bend, place
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.tooth_rows import HeldTeeth, between_teeth
from tests.support.mouths import heads_of, shut_then_open

LARGE = 3
LAYOUT = FrameLayout(320 * LARGE, 240 * LARGE)
REGION = 120 * LARGE, 220 * LARGE, 100 * LARGE, 220 * LARGE
OPEN, MORE = 3.0, 1.5
UPPER, LOWER = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)
MIDDLE = 5
"""Of the 11 points of a row."""


def placed(lender: int, opened: float, lean: float = 0.0) -> Placing:
    """Return a lender whose mouth opens further by so much, on a head that leans by so many degrees."""
    footage = shut_then_open(OPEN)
    lack, there = np.zeros(6), heads_of(footage).copy()
    lack[0] = opened
    there[lender] = leaning(there[lender], lean)
    placing = place(footage, there, lender, lender, lack)
    moves = leaning(LARGE * placing.moves, lean, about=(0, 0)).astype(np.float64)
    return Placing(placing.head, LARGE * there[lender], np.zeros((468, 2)), moves)


def leaning(
    points: npt.NDArray[np.floating], lean: float, about: tuple[float, float] = (160, 170)
) -> FaceLandmarks:
    way = cv2.getRotationMatrix2D(about, lean, 1.0)
    return np.asarray(points @ way[:, :2].T + way[:, 2], np.float32)


def mouth(placing: Placing, share: float) -> I420Frame:
    """Return a frame that is white, and dark at that share of the way from the upper to the lower lip."""
    frame = np.full(LAYOUT.frame_bytes, 128, np.uint8)
    luma = LAYOUT.planes(frame)[0]
    luma[:] = 200
    upper, lower = placing.laid[UPPER], placing.laid[LOWER]
    line = upper + share * (lower - upper)
    cv2.polylines(luma, [np.rint(line).astype(np.int32)], False, 20, 4)
    return frame


def held(placing: Placing, parts: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return by how much the picture goes down the frame between the lips, and did before, at full size."""
    top, bottom, left, right = REGION
    size = (right - left) // 2, (bottom - top) // 2
    fields = cv2.split(cv2.resize(bend(placing, placing.laid, REGION), size))
    across, down = (np.asarray(one, np.float32) for one in fields[2:])
    before = -down.copy()
    HeldTeeth(placing, parts, (left, top)).hold(across, down)
    return -down.astype(np.float64), before.astype(np.float64)


def column(placing: Placing, downs: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return the middle column, and the rows of the lips as they are laid."""
    upper, lower = placing.laid[UPPER][MIDDLE], placing.laid[LOWER][MIDDLE]
    return downs[:, round(float(upper[0] - REGION[2]) / 2)], *(
        (row[1] - REGION[0]) / 2 for row in (upper, lower)
    )


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("lean", [0.0, 25.0])
def test_where_rows_of_teeth_part_is_seen(share: float, lean: float) -> None:
    placing = placed(15, MORE, lean)
    parts = between_teeth(LAYOUT, mouth(placing, share), placing.laid)

    assert parts.shape == (2, 11)
    assert parts[:, 3:8].mean(axis=0) == pytest.approx(share, abs=0.1)
    assert (parts[1, 3:8] - parts[0, 3:8] < 0.25).all()


def test_a_tongue_is_no_tooth_however_bright() -> None:
    placing = placed(15, MORE)
    frame = mouth(placing, 0.5)
    luma, _, red = LAYOUT.planes(frame)
    red[luma[::2, ::2] < 200] = 170
    luma[luma < 200] = 200

    parts = between_teeth(LAYOUT, frame, placing.laid)[:, 3:8]
    assert parts.mean(axis=0) == pytest.approx(0.5, abs=0.15)


def test_where_no_lower_teeth_are_seen_all_down_to_the_lip_is_stretched() -> None:
    placing = placed(15, MORE)
    frame = mouth(placing, 0.5)
    luma = LAYOUT.planes(frame)[0]
    upper, lower = placing.laid[UPPER], placing.laid[LOWER]
    tongue = np.vstack([(upper + lower) / 2, lower[::-1]])
    cv2.fillPoly(luma, [np.rint(tongue).astype(np.int32)], 20)
    parts = between_teeth(LAYOUT, frame, placing.laid)[:, 3:8]

    assert parts[0] == pytest.approx(0.5, abs=0.15)
    assert (parts[1] > 0.9).all()


def test_teeth_of_a_mouth_that_opens_further_are_as_high_as_before() -> None:
    placing = placed(15, MORE)
    after, before = held(placing, np.full((2, 11), 0.5))
    down, upper, lower = column(placing, after)
    was, *_ = column(placing, before)
    middle = (upper + lower) / 2

    assert np.abs(down[round(upper) + 2 : round(middle)]).max() < 0.3
    lip = round(lower + was[round(lower)] / 2)
    rows = down[lip - round(lower - middle) + 2 : lip - 1]
    assert len(rows) >= 6
    assert np.ptp(rows) < 0.25
    assert rows.mean() > 8
    assert down[lip + 2 :] == pytest.approx(was[lip + 2 :], abs=1e-6)


def test_what_is_between_the_rows_is_stretched_evenly() -> None:
    placing = placed(15, MORE)
    after, _ = held(placing, np.repeat([[0.2], [0.7]], 11, axis=1))
    down, upper, lower = column(placing, after)
    height = lower - upper
    steps = np.diff(down[round(upper + 0.3 * height) : round(upper + 0.7 * height)])

    assert (steps > 0).all()
    assert np.ptp(steps) < 0.1


def test_teeth_of_a_mouth_that_shuts_are_as_high_as_before() -> None:
    placing = placed(15, -MORE)
    after, _ = held(placing, np.full((2, 11), 0.5))
    down, upper, lower = column(placing, after)

    assert np.abs(down[round(upper) + 3 : round((upper + lower) / 2)]).max() < 0.3


def test_lips_that_meet_are_bent_as_they_are() -> None:
    placing = placed(5, MORE)
    placing.laid[LOWER] = placing.laid[UPPER]
    after, before = held(placing, np.full((2, 11), 0.5))

    np.testing.assert_array_equal(after, before)


def test_a_mouth_outside_the_region_is_left_alone() -> None:
    placing = placed(15, MORE)
    far = Placing(placing.head, placing.laid + np.float32(1500), placing.turned, placing.moves)
    across, down = np.full((2, 150, 180), 3.0, np.float32)
    HeldTeeth(far, np.full((2, 11), 0.5), (REGION[2], REGION[0])).hold(across, down)

    assert (across == 3).all()
    assert (down == 3).all()
