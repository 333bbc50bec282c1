import numpy as np

from app.faces.cuts import CutDetector
from app.media.frames import BgrImage, FrameLayout
from tests.support.clips import moving_portrait
from tests.support.frames import i420

LAYOUT = FrameLayout(160, 120)


def cuts(pictures: list[BgrImage]) -> list[int]:
    is_cut = CutDetector(LAYOUT)
    return [index for index, picture in enumerate(pictures) if is_cut(i420(picture, LAYOUT))]


def head(index: int) -> BgrImage:
    return moving_portrait(index, 160, 120)


def test_another_picture_is_a_cut_and_so_is_the_way_back() -> None:
    other = [np.ascontiguousarray(head(index)[::-1]) for index in range(8)]
    assert cuts([head(index) for index in range(8)] + other + [head(9)]) == [8, 16]


def test_neither_motion_nor_a_slow_fade_is_a_cut() -> None:
    fade = [(head(index) * (1 - index / 30)).astype(np.uint8) for index in range(30)]
    assert cuts([head(3 * index) for index in range(30)]) == []
    assert cuts(fade) == []


def test_a_camera_in_fast_motion_does_not_cut_all_the_time() -> None:
    wide = np.concatenate([moving_portrait(0, 400, 120)] * 2, axis=1)
    pan = [np.ascontiguousarray(wide[:, 12 * index : 12 * index + 160]) for index in range(40)]
    assert len(cuts(pan)) <= 2
