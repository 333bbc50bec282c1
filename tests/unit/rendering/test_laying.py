"""A mouth laid onto a frame; what is lent is told from what is the frame's own by its pixels."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.faces.hidden import CROP_SIZE
from app.faces.mask import mouth_mask
from app.faces.types import Box, FaceLandmarks, Landmarks
from app.media.color import ColorRange
from app.media.frames import Color, FrameLayout, I420Frame
from app.mouths.bending import BENT, Placing, place
from app.mouths.covers import FaceCover
from app.mouths.person import Person
from app.rendering.laying import LIPS, MASK_SIZE, Layer
from app.rendering.sampling import Lent, sampled
from tests.support.frames import i420
from tests.support.mouths import box_of, heads_of, shut_then_open

LAYOUT = FrameLayout(320, 240)
OPEN = 3.0
CHEEK = 213
"""A Face Mesh point on the right cheek, beside the mouth."""


def footage() -> Person:
    return shut_then_open(OPEN)


def heads() -> Landmarks:
    return heads_of(footage())


def placed(lender: int = 5, opened: float = 0.0, frame: int = 5) -> Placing:
    lack = np.zeros(6)
    lack[0] = opened
    return place(footage(), heads(), frame, lender, lack)


def texture(seed: int, layout: FrameLayout = LAYOUT) -> I420Frame:
    """Return a soft, coloured noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (layout.height, layout.width, 3), np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.5).astype(np.float32)
    return i420(np.clip(128 + 2 * (soft - 128), 60, 200).astype(np.uint8), layout)


def flat(luma: int, chroma: int = 128) -> I420Frame:
    frame = np.full(LAYOUT.frame_bytes, chroma, np.uint8)
    LAYOUT.planes(frame)[0][:] = luma
    return frame


def laid(
    frame: I420Frame,
    lent: Lent,
    *,
    box: Box | None = None,
    landmarks: FaceLandmarks | None = None,
    weight: float = 1.0,
    cover: FaceCover | None = None,
) -> I420Frame:
    result = frame.copy()
    points = heads()[5] if landmarks is None else landmarks
    Layer(LAYOUT).lay(result, box_of(points) if box is None else box, points, lent, weight, cover)
    return result


def mask(box: Box, landmarks: FaceLandmarks) -> npt.NDArray[np.float64]:
    """Return the soft mask over the whole frame, 0..1, and 0 outside of the box."""
    top, bottom, left, right = box.tolist()
    whole = np.zeros((LAYOUT.height, LAYOUT.width))
    size = (right - left, bottom - top)
    small = cv2.resize(mouth_mask(landmarks, box, MASK_SIZE), size, interpolation=cv2.INTER_LINEAR)
    whole[top:bottom, left:right] = small / 255
    return whole


def test_outside_of_the_mask_nothing_changes() -> None:
    own, other = texture(1), texture(2)
    made = laid(own, Lent(other, placed()))
    weight = cv2.dilate(mask(box_of(heads()[5]), heads()[5]), np.ones((9, 9)))
    for level, (new, old) in enumerate(zip(LAYOUT.planes(made), LAYOUT.planes(own), strict=True)):
        share = weight[::2, ::2] if level else weight
        assert (new == old)[share == 0].all()
        assert (new != old)[share > 0].mean() > 0.4


def test_with_weight_0_nothing_changes_and_with_less_less_does() -> None:
    own, other = texture(1), texture(2)
    whole, half, none = (laid(own, Lent(other, placed()), weight=w).astype(int) for w in (1.0, 0.5, 0.0))
    assert (none == own).all()
    assert half == pytest.approx((whole + own) / 2, abs=1.01)


def test_a_frames_own_mouth_laid_onto_itself_is_the_frame_again() -> None:
    own = texture(1)
    made = laid(own, Lent(own, placed())).astype(int)
    assert np.abs(made - own).max() <= 1


def test_a_difference_of_brightness_is_evened_out_by_the_cheeks() -> None:
    for level in (60, 100, 125, 160):
        made = LAYOUT.planes(laid(flat(110), Lent(flat(level), placed())))[0]
        assert np.abs(made.astype(int) - 110).max() <= 3


def test_the_dark_of_a_mouth_keeps_its_level_as_light_passes_the_size_from_which_it_is_a_gain() -> None:
    x, y = np.rint(heads()[15][[13, 14]].mean(axis=0)).astype(int)
    lender = flat(140)
    LAYOUT.planes(lender)[0][y - 5 : y + 6, x - 12 : x + 13] = 20
    dark = [
        int(LAYOUT.planes(laid(flat(level), Lent(lender, placed(15, frame=5))))[0][y, x])
        for level in range(120, 161)
    ]
    assert np.abs(np.diff(dark)).max() <= 1


def test_something_dark_at_a_cheek_does_not_change_the_light_of_the_mouth() -> None:
    """The shadow of a jaw that lies elsewhere is no light."""
    points = heads()[5]
    own, (x, y) = flat(110), np.rint(points[[61, 291, 17]]).astype(int)[2]
    cheek = np.rint(points[58]).astype(int)
    LAYOUT.planes(own)[0][:, : cheek[0] + 8] = 30
    made = LAYOUT.planes(laid(own, Lent(flat(110), placed())))[0].astype(int)
    assert abs(int(made[y, x]) - 110) <= 2


@pytest.mark.parametrize("lower", range(-6, 7, 3))
@pytest.mark.parametrize("shift", [-8, 8])
def test_a_beard_that_lies_a_little_elsewhere_does_not_change_the_light_of_the_mouth(
    lower: int, shift: int
) -> None:
    """Where half of the skin is a beard, medians of the two pictures are of other places."""
    x, y = np.rint(heads()[5][[13, 14]].mean(axis=0)).astype(int)
    own, lender = flat(140), flat(140)
    LAYOUT.planes(own)[0][y + lower :] = 125
    LAYOUT.planes(lender)[0][y + lower + shift :] = 125
    for frame in (own, lender):
        LAYOUT.planes(frame)[0][y - 3 : y + 4, x - 12 : x + 13] = 60
    made = LAYOUT.planes(laid(own, Lent(lender, placed())))[0]
    assert abs(int(made[y, x]) - 60) <= 2


def test_what_is_behind_the_lender_is_not_laid_on_a_cheek() -> None:
    points, other = heads()[5], flat(150)
    luma = LAYOUT.planes(other)[0]
    x, y = points[CHEEK].astype(int).tolist()
    luma[y - 12 : y + 12, x - 2 : x + 2] = 20
    made = LAYOUT.planes(laid(flat(150), Lent(other, placed())))[0]
    assert made[y - 8 : y + 8, x - 2 : x + 2].min() > 125
    middle = points[LIPS].mean(axis=0).astype(int)
    luma[middle[1] - 2 : middle[1] + 2, middle[0] - 8 : middle[0] + 8] = 20
    made = LAYOUT.planes(laid(flat(150), Lent(other, placed())))[0]
    assert made[middle[1], middle[0] - 4 : middle[0] + 4].max() < 40


@pytest.mark.parametrize(("side", "least", "most"), [(6, 0.0, 0.1), (9, 0.2, 0.8), (14, 0.9, 1.1)])
def test_cheeks_are_left_alone_the_more_the_larger_is_what_lies_before_a_face(
    side: int, least: float, most: float
) -> None:
    """What takes 0.012 of the lower face is now noted and now not, and must not switch them."""
    points, own, marks = heads()[5], texture(1), np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    marks[52 : 52 + side, 44 : 44 + side] = 255
    made = [
        LAYOUT.planes(laid(own, Lent(texture(2), placed()), cover=cover))[0].astype(int)
        for cover in (None, FaceCover.of(marks, points))
    ]
    x, y = points[CHEEK].astype(int).tolist()
    cheek = slice(y - 6, y + 6), slice(x - 2, x + 4)
    more = np.abs(made[0] - LAYOUT.planes(own)[0])[cheek].sum()
    assert more > 100
    assert least <= np.abs(made[1] - made[0])[cheek].sum() / more <= most


def test_light_from_one_side_is_kept() -> None:
    own = flat(110)
    width = LAYOUT.width
    LAYOUT.planes(own)[0][:] = np.linspace(90, 130, width)[None].astype(np.uint8)
    made = LAYOUT.planes(laid(own, Lent(flat(110), placed())))[0].astype(int)
    weight = mask(box_of(heads()[5]), heads()[5]) > 0.5
    assert np.abs(made - LAYOUT.planes(own)[0])[weight].max() <= 6


def test_a_difference_of_colour_is_evened_out_as_well() -> None:
    made = laid(flat(110, 120), Lent(flat(110, 128), placed()))
    for plane in LAYOUT.planes(made)[1:]:
        assert np.abs(plane.astype(int) - 120).max() <= 2


def test_what_differs_in_the_mouth_alone_is_lent() -> None:
    """Lips and teeth are the lender's; only what is slow over the cheeks is not."""
    x, y = np.rint(heads()[15][[13, 14]].mean(axis=0)).astype(int)
    lender = flat(110)
    LAYOUT.planes(lender)[0][y - 5 : y + 6, x - 12 : x + 13] = 30
    made = LAYOUT.planes(laid(flat(110), Lent(lender, placed(15, frame=5))))[0]
    assert made[y, x] < 60


@pytest.mark.parametrize(("color_range", "lips"), [("full", 45), ("limited", 48)])
def test_lips_are_lit_as_the_cheeks_are_about_the_black_of_the_footage(
    color_range: ColorRange, lips: int
) -> None:
    """Cheeks of 160 become 120; by the same gain about 0 or 16 lips of 60 become 45 or 48."""
    layout = FrameLayout(LAYOUT.width, LAYOUT.height, Color(range=color_range))
    x, y = np.rint(heads()[15][[13, 14]].mean(axis=0)).astype(int)
    own, lender = flat(120), flat(160)
    LAYOUT.planes(lender)[0][y - 5 : y + 6, x - 12 : x + 13] = 60
    made = own.copy()
    points = heads()[5]
    Layer(layout).lay(made, box_of(points), points, Lent(lender, placed(15, frame=5)))
    assert layout.planes(made)[0][y, x] == pytest.approx(lips, abs=1)


def test_bending_brings_the_lenders_rows_to_where_the_lip_goes() -> None:
    """Luma tells the row that a pixel comes from."""
    rows = flat(0)
    LAYOUT.planes(rows)[0][:] = np.arange(240, dtype=np.uint8)[:, None]
    region = (120, 200, 110, 210)
    placing = placed(5, OPEN)
    made = sampled(LAYOUT, Lent(rows, placing), heads()[5], region).planes[0]
    x, y = np.rint(placing.points[17]).astype(int)
    fall = placing.points[17][1] - placing.laid[17][1]
    assert fall > 3
    from_row = float(made[y - region[0], x - region[2]])
    assert y - from_row == pytest.approx(float(fall), rel=0.3)
    straight = sampled(LAYOUT, Lent(rows, placed()), heads()[5], region).planes[0]
    assert straight == pytest.approx(np.repeat(np.arange(120, 200)[:, None], 100, axis=1), abs=0.51)


def test_a_chin_beyond_the_lender_s_frame_is_not_smeared_over_one_in_view() -> None:
    """The lender's head is lower, so that its chin is below the frame by a tenth of its height."""
    points = heads()[5]
    lower = np.array([[1.0, 0, 0], [0, 1.0, 1.1 * LAYOUT.height - points[152, 1]]])
    placing = replace(placed(), head=lower)
    own, other = texture(1), texture(2)
    made = LAYOUT.planes(laid(own, Lent(other, placing)))[0]
    border = round(LAYOUT.height - lower[1, 2])
    left, right = (int(points[corner, 0]) for corner in (61, 291))
    tall = slice(border + 2, int(points[152, 1]) + 2)
    assert tall.stop - tall.start > 20
    ours = LAYOUT.planes(own)[0]
    change = np.abs(made.astype(int) - ours)
    assert change[border - 12 : border - 2, left:right].mean() > 5
    assert made[tall, left:right].std(axis=0).min() > 0.5 * ours[tall, left:right].std(axis=0).min()
    assert (change[border + 14 :] == 0).all()


@pytest.mark.parametrize("degrees", [-60, -45, -30, 30, 45, 60])
def test_a_head_on_its_side_gets_all_of_a_mouth(degrees: float) -> None:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    straight = placed()
    middle = straight.points.mean(axis=0)
    points = ((straight.points - middle) @ turn.T + middle).astype(np.float32)
    placing = Placing(np.eye(2, 3), points, np.zeros((468, 2)), np.zeros((len(BENT), 2)))
    lips = np.zeros((LAYOUT.height, LAYOUT.width), np.uint8)
    cv2.fillPoly(lips, [np.rint(cv2.convexHull(points[LIPS])).astype(np.int32)], 255)
    lender = flat(110)
    LAYOUT.planes(lender)[0][lips > 0] = 30
    made = LAYOUT.planes(laid(flat(110), Lent(lender, placing), landmarks=points))[0]
    assert made[cv2.erode(lips, np.ones((3, 3))) > 0].max() < 45


@settings(max_examples=60)
@given(
    left=st.integers(-150, 330),
    top=st.integers(-200, 250),
    width=st.integers(1, 301),
    height=st.integers(1, 301),
)
def test_boxes_of_odd_sizes_at_and_beyond_the_border_are_laid(
    left: int, top: int, width: int, height: int
) -> None:
    """The face fills its box, wherever that lies and however it is squeezed."""
    known = box_of(heads()[5]).astype(float)
    scale = np.array([width / (known[3] - known[2]), height / (known[1] - known[0])])
    points = ((heads()[5] - known[[2, 0]]) * scale + (left, top)).astype(np.float32)
    box = np.array([top, top + height, left, left + width], np.int32)
    placing = Placing(
        np.array([[1.0, 0, 0], [0, 1.0, 0]]), points, np.zeros((468, 2)), np.zeros((len(BENT), 2))
    )
    own = texture(1)
    made = laid(own, Lent(texture(2), placing), box=box, landmarks=points)
    changed = np.argwhere(LAYOUT.planes(made)[0] != LAYOUT.planes(own)[0])
    if len(changed):
        assert changed.min(axis=0)[0] >= top + height // 2 - 2
        assert (changed.min(axis=0) >= (top - 2, left - 2)).all()
        assert (changed.max(axis=0) < (top + height + 2, left + width + 2)).all()
