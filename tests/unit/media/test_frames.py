import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from app.media.color import ColorMatrix
from app.media.color import ColorRange as RangeName
from app.media.frames import BgrImage, Color, FrameLayout, I420Frame, bgr_to_yuv, yuv_to_bgr
from tests.support.clips import portrait

MATRICES: list[tuple[ColorMatrix, Colorspace]] = [
    ("bt601", Colorspace.SMPTE170M),
    ("bt709", Colorspace.ITU709),
    ("bt2020", Colorspace.BT2020),
]
RANGES: list[tuple[RangeName, ColorRange]] = [("limited", ColorRange.MPEG), ("full", ColorRange.JPEG)]


def _smooth_image(width: int, height: int) -> BgrImage:
    image = cv2.resize(portrait(), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)


def _frame(image: BgrImage, space: Colorspace, color_range: ColorRange) -> I420Frame:
    """Return what FFmpeg makes of ``image``."""
    picture = av.VideoFrame.from_ndarray(image, "bgr24").reformat(
        format="yuv420p",
        dst_colorspace=space,
        src_color_range=ColorRange.JPEG,
        dst_color_range=color_range,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
    )
    array: I420Frame = picture.to_ndarray().astype(np.uint8).reshape(-1)
    return array


@pytest.mark.parametrize(("name", "color_range"), RANGES)
@pytest.mark.parametrize(("matrix", "space"), MATRICES)
def test_colours_are_those_that_ffmpeg_means(
    matrix: ColorMatrix, space: Colorspace, name: RangeName, color_range: ColorRange
) -> None:
    image = _smooth_image(128, 96)
    layout = FrameLayout(128, 96, Color(matrix, name))

    shown = layout.to_bgr(_frame(image, space, color_range))

    difference = shown.astype(float) - image
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1


@pytest.mark.parametrize("matrix", [name for name, _ in MATRICES])
@pytest.mark.parametrize("name", [name for name, _ in RANGES])
def test_both_conversions_are_inverse_and_grey_has_no_colour(matrix: ColorMatrix, name: RangeName) -> None:
    color = Color(matrix, name)
    there, back = (np.vstack([m(color), [0, 0, 0, 1]]) for m in (bgr_to_yuv, yuv_to_bgr))

    np.testing.assert_allclose(back @ there, np.eye(4), atol=1e-9)
    black, white = there @ [0, 0, 0, 1], there @ [255, 255, 255, 1]
    np.testing.assert_allclose(black[:3], [16 if name == "limited" else 0, 128, 128])
    np.testing.assert_allclose(white[:3], [235 if name == "limited" else 255, 128, 128])


def test_a_crop_of_a_frame_is_the_crop_of_its_picture() -> None:
    layout = FrameLayout(128, 96)
    frame = _frame(_smooth_image(128, 96), Colorspace.ITU709, ColorRange.MPEG)
    affine = np.array([[0.5, 0, 20], [0, 0.75, 10]])

    crop = layout.sample_bgr(frame, affine, (64, 48))

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(layout.to_bgr(frame), affine, (64, 48), flags=flags)
    assert np.abs(crop.astype(int) - expected).max() <= 4


def test_beyond_the_frame_its_edge_is_repeated() -> None:
    layout = FrameLayout(64, 48)
    frame = np.full(layout.frame_bytes, 128, np.uint8)

    crop = layout.sample_bgr(frame, np.array([[1.0, 0, -32], [0, 1.0, -24]]), (128, 96))

    assert (crop == crop[48, 64]).all()


def test_planes_are_views_of_the_frame() -> None:
    layout = FrameLayout(8, 4)
    frame = np.zeros(layout.frame_bytes, np.uint8)

    for value, plane in enumerate(layout.planes(frame), 1):
        plane[:] = value

    assert frame.tolist() == [1] * 32 + [2] * 8 + [3] * 8


@pytest.mark.parametrize("size", [(0, 2), (3, 2), (2, 5), (-2, 2)])
def test_sizes_are_even_and_positive(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even and positive"):
        FrameLayout(*size)
