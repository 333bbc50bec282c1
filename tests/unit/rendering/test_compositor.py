"""Pasting, seen on frames and faces of plain colours."""

import numpy as np
import numpy.typing as npt
import pytest

from app.faces.boxes import crop_affine
from app.faces.types import Box, MouthMask
from app.media.frames import BgrImage, Color, FrameLayout, I420Frame, bgr_to_yuv
from app.rendering.compositor import Compositor, measure_tint

SIZE = 96
LAYOUT = FrameLayout(160, 120, Color("bt709", "limited"))


def box(top: int, bottom: int, left: int, right: int) -> Box:
    return np.array([top, bottom, left, right], np.int32)


def plain(bgr: tuple[int, int, int], layout: FrameLayout = LAYOUT) -> I420Frame:
    y, u, v = bgr_to_yuv(layout.color) @ [*bgr, 1.0]
    luma, chroma = layout.width * layout.height, layout.width * layout.height // 4
    frame: I420Frame = np.repeat(np.rint([y, u, v]), [luma, chroma, chroma]).astype(np.uint8)
    return frame


def noise(layout: FrameLayout = LAYOUT) -> I420Frame:
    frame: I420Frame = np.random.default_rng(0).integers(0, 256, layout.frame_bytes, np.uint8)
    return frame


def face(bgr: tuple[int, int, int]) -> BgrImage:
    return np.full((SIZE, SIZE, 3), bgr, np.uint8)


def block_mask() -> MouthMask:
    """All weight in a block of the lower half, hard-edged."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[60:84, 24:72] = 255
    return mask


def soft_mask() -> MouthMask:
    rows = np.clip(np.minimum(np.arange(SIZE) - 48, 94 - np.arange(SIZE)) * 20, 0, 255)
    columns = np.clip(np.minimum(np.arange(SIZE) - 1, 94 - np.arange(SIZE)) * 20, 0, 255)
    mask: MouthMask = np.minimum.outer(rows, columns).astype(np.uint8)
    return mask


BOXES = [
    box(10, 106, 30, 126),
    box(11, 104, 31, 102),
    box(-20, 90, -15, 60),
    box(60, 170, 100, 190),
    box(40, 88, 60, 93),
]


@pytest.mark.parametrize("where", BOXES)
def test_pixels_outside_the_mask_stay_exactly_as_they_are(where: Box) -> None:
    frame, mask = noise(), soft_mask()
    before = frame.copy()
    Compositor(LAYOUT).paste(frame, face((0, 200, 30)), face((0, 200, 30)), where, mask)
    touched = [a != b for a, b in zip(LAYOUT.planes(frame), LAYOUT.planes(before), strict=True)]
    top, bottom, left, right = where.tolist()
    inside = np.zeros((LAYOUT.height, LAYOUT.width), bool)
    inside[max((top + bottom) // 2 - 1, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    assert touched[0].any()
    assert not touched[0][~inside].any()
    for chroma in touched[1:]:
        assert not chroma[~inside.reshape(60, 2, 80, 2).any(axis=(1, 3))].any()


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("where", BOXES)
def test_an_empty_mask_changes_nothing_at_all(where: Box, value: int) -> None:
    frame = noise()
    before = frame.copy()
    empty = np.zeros((SIZE, SIZE), np.uint8)
    Compositor(LAYOUT).paste(frame, face((value,) * 3), face((value,) * 3), where, empty)
    assert (frame == before).all()


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("tagged_range", ["limited", "full"])
def test_a_full_mask_shows_the_face_in_its_own_colour(matrix: str, tagged_range: str) -> None:
    layout = FrameLayout(160, 120, Color(matrix, tagged_range))  # type: ignore[arg-type]
    frame, where = plain((128, 128, 128), layout), box(12, 108, 32, 128)
    skin = (120, 150, 200)
    Compositor(layout).paste(frame, face(skin), face(skin), where, block_mask())
    assert layout.to_bgr(frame)[12 + 72, 32 + 48].tolist() == pytest.approx(skin, abs=2)


def test_the_patch_lands_where_the_crop_was_cut() -> None:
    """A frame, cropped and pasted back through the mask, is the same frame."""
    yy, xx = np.mgrid[0:120, 0:160]
    luma = 128 + 60 * np.sin(xx / 9) * np.cos(yy / 7)
    frame = np.concatenate([luma.ravel(), np.full(120 * 160 // 2, 128.0)]).astype(np.uint8)
    where = box(12, 108, 32, 128)
    crop = LAYOUT.sample_bgr(frame, crop_affine(where, SIZE), (SIZE, SIZE))
    pasted = frame.copy()
    Compositor(LAYOUT).paste(pasted, crop, crop, where, block_mask())
    assert np.abs(pasted.astype(int) - frame).max() <= 3


def test_a_face_far_smaller_than_its_crop_is_averaged() -> None:
    """Stripes as fine as the crop's pixels become their mean, not one of them."""
    stripes = face((40, 40, 40))
    stripes[:, ::3] = 220
    frame = plain((128, 128, 128))
    Compositor(LAYOUT).paste(frame, stripes, stripes, box(40, 72, 60, 92), block_mask())
    assert LAYOUT.to_bgr(frame)[62:66, 70:82].mean() == pytest.approx(100, abs=3)


def test_the_patch_takes_the_tint_of_the_skin_around_it() -> None:
    face_in_blue_light, crop = face((130, 150, 190)), face((120, 150, 200))
    tint: npt.NDArray[np.float64] = measure_tint(face_in_blue_light, crop, soft_mask())
    assert tint == pytest.approx([-10, 0, 10])


def test_the_tint_is_bounded_and_needs_a_soft_edge() -> None:
    assert np.abs(measure_tint(face((0, 0, 0)), face((255, 255, 255)), soft_mask())).max() <= 24
    assert measure_tint(face((0, 0, 0)), face((255, 255, 255)), block_mask()).tolist() == [0, 0, 0]


def test_a_box_outside_the_frame_is_harmless() -> None:
    frame = noise()
    before = frame.copy()
    where = box(-200, -100, 10, 90)
    Compositor(LAYOUT).paste(frame, face((9, 9, 9)), face((9, 9, 9)), where, soft_mask())
    assert (frame == before).all()
