from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest

from app.media.filters import treated
from app.media.findings import Findings
from app.media.frames import Color, bgr_to_yuv
from app.media.tone_mapping import HLG, PQ, mapped
from app.media.treatment import Treatment

SIDE = 32
BT2020 = Color("bt2020", "full")


def _of_one_color(signal: npt.NDArray[np.float64], transfer: int) -> av.VideoFrame:
    """Return a picture of 10 bits in one colour: red, green and blue from 0 to 1."""
    picture = av.VideoFrame(SIDE, SIDE, "yuv420p10le")
    values = bgr_to_yuv(BT2020) @ [*(255 * signal[::-1]), 1]
    luma, chroma = 64 + values[:1] * 876 / 255, 512 + (values[1:] - 128) * 896 / 255
    for plane, value in zip(picture.planes, np.rint([*luma, *chroma]), strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    picture.color_primaries, picture.color_trc, picture.colorspace = 9, transfer, 9
    return picture


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("signal", [(0.6, 0.1, 0.2), (0.1, 0.5, 0.2), (0.2, 0.1, 0.6), (0.45, 0.4, 0.37)])
def test_each_colour_becomes_that_of_bt709(signal: tuple[float, float, float], transfer: int) -> None:
    color = np.array(signal)
    pictures = [_of_one_color(color, transfer) for _ in range(2)]
    shown = list(treated(iter(pictures), Treatment(tone_map=True), Findings()))
    expected = 255 * mapped(color[None], transfer)[0]
    assert len(shown) == 2
    for picture in shown:
        assert np.abs(picture.to_ndarray(format="rgb24")[8:-8, 8:-8].astype(float) - expected).max() < 3


def test_who_changes_the_transfer_function_has_each_picture_mapped_by_its_own() -> None:
    color = np.array((0.6, 0.1, 0.2))
    order = [PQ, HLG, PQ]
    pictures = iter([_of_one_color(color, transfer) for transfer in order])
    shown = list(treated(pictures, Treatment(tone_map=True), Findings()))
    for picture, transfer in zip(shown, order, strict=True):
        expected = 255 * mapped(color[None], transfer)[0]
        assert np.abs(picture.to_ndarray(format="rgb24")[8:-8, 8:-8].astype(float) - expected).max() < 3
