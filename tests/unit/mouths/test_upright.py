import cv2
import numpy as np
import pytest

from app.media.frames import Affine, BgrImage, FrameLayout
from app.mouths.upright import SIZE, rows_shown, upright_picture
from tests.support.frames import i420

LAYOUT = FrameLayout(1280, 722)
TURN = np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])


def around(middle: tuple[int, int], scale: float) -> Affine:
    affine: Affine = np.column_stack([scale * TURN, middle - scale * TURN @ np.full(2, (SIZE - 1) / 2)])
    return affine


@pytest.mark.parametrize("scale", [1.4, 2.3, 3.6])
@pytest.mark.parametrize("middle", [(640, 360), (60, 40), (1270, 700), (-2000, 300)], ids=str)
def test_a_face_of_any_size_is_cut_out_where_it_lies(scale: float, middle: tuple[int, int]) -> None:
    colors = np.random.default_rng(3).integers(30, 220, (24, 40, 3), np.uint8)
    picture = cv2.resize(colors, (LAYOUT.width, LAYOUT.height), interpolation=cv2.INTER_CUBIC)
    frame = i420(np.asarray(picture, np.uint8), LAYOUT)
    sampled = LAYOUT.sample_bgr(frame, around(middle, scale), (SIZE, SIZE)).astype(np.float64)

    upright = upright_picture(LAYOUT, frame, around(middle, scale))

    assert np.abs(upright - sampled).mean() < 2.5


@pytest.mark.parametrize("scale", [0.6, 1.4, 2.3, 3.6])
@pytest.mark.parametrize("middle", [(640, 360), (60, 40), (1270, 700), (640, -900), (640, 2000)], ids=str)
def test_rows_that_are_not_shown_do_not_matter(scale: float, middle: tuple[int, int]) -> None:
    frame = np.random.default_rng(3).integers(30, 220, LAYOUT.frame_bytes, np.uint8)
    affine = around(middle, scale)
    top, bottom = rows_shown(LAYOUT, affine)
    part = np.zeros_like(frame)
    for rows in LAYOUT.rows(top, bottom):
        part[rows] = frame[rows]

    assert 0 <= top < bottom <= LAYOUT.height
    assert np.array_equal(upright_picture(LAYOUT, part, affine), upright_picture(LAYOUT, frame, affine))


@pytest.mark.parametrize("scale", [2.3, 3.6])
def test_a_large_face_is_averaged_not_sampled(scale: float) -> None:
    grain: BgrImage = np.random.default_rng(4).integers(60, 200, (LAYOUT.height, LAYOUT.width, 1), np.uint8)
    frame, affine = i420(np.repeat(grain, 3, axis=2), LAYOUT), around((640, 360), scale)

    spread = upright_picture(LAYOUT, frame, affine).std()

    assert spread < 0.6 * LAYOUT.sample_bgr(frame, affine, (SIZE, SIZE)).std()
