from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from app.media.frames import Color, I420Frame
from app.media.pictures import DEEP_FORMAT, Orientation, PictureForm, PictureReader
from app.media.treatment import PLAIN, Treatment

YUV = (200, 90, 150)


def _flat_picture(pix_fmt: str, width: int, height: int, values: tuple[int, ...]) -> av.VideoFrame:
    """Return a picture with one value a plane; formats of more than 8 bits get the value scaled up."""
    picture = av.VideoFrame(width, height, pix_fmt)
    bits = picture.format.components[0].bits
    for plane, value in zip(picture.planes, values, strict=False):
        dtype = np.dtype("<u2" if bits > 8 else "u1")
        np.frombuffer(memoryview(plane), dtype)[:] = value << (bits - 8)
    return picture


def _random_picture(pix_fmt: str, width: int, height: int) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, pix_fmt)
    rng = np.random.default_rng(0)
    for plane in picture.planes:
        target = np.frombuffer(memoryview(plane), np.uint8)
        target[:] = rng.integers(0, 256, len(target))
    return picture


def _rows(picture: av.VideoFrame, index: int) -> I420Frame:
    plane = picture.planes[index]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)


def _read(picture: av.VideoFrame) -> tuple[PictureForm, I420Frame]:
    form = PictureForm.of(picture)
    return form, PictureReader(form).read(picture)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuva420p"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 48), (64, 49), (71, 33)])
def test_planes_are_copied_as_they_are_and_cropped_to_even(pix_fmt: str, width: int, height: int) -> None:
    picture = _random_picture(pix_fmt, width, height)

    form, frame = _read(picture)

    assert (form.layout.width, form.layout.height) == (width & ~1, height & ~1)
    for index, plane in enumerate(form.layout.planes(frame)):
        np.testing.assert_array_equal(plane, _rows(picture, index)[: plane.shape[0], : plane.shape[1]])


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p"])
def test_planes_that_lie_as_in_a_frame_are_not_copied(pix_fmt: str) -> None:
    picture = _random_picture(pix_fmt, 128, 48)
    form, frame = _read(picture)
    pieces = PictureReader(form).pieces(picture)
    assert b"".join(piece.tobytes() for piece in pieces) == frame.tobytes()
    for index, piece in enumerate(pieces):
        assert np.shares_memory(piece, np.frombuffer(memoryview(picture.planes[index]), np.uint8))


@pytest.mark.parametrize(
    ("picture", "treatment"),
    [
        (_random_picture("yuv420p", 100, 48), PLAIN),  # rows are longer than what they show
        (_random_picture("yuv420p", 128, 49), PLAIN),
        (_random_picture("yuva420p", 128, 48), PLAIN),
        (_random_picture("gray", 128, 48), PLAIN),
        (_random_picture("yuv420p10le", 128, 48), PLAIN),
        (_random_picture("yuv420p", 128, 48), Treatment(rotate=180)),
        (_random_picture("yuv420p", 128, 48), Treatment(transparent=True)),
        (_random_picture("yuv420p", 128, 48), Treatment(deep=True)),
    ],
)
def test_of_other_pictures_a_frame_is_made(picture: av.VideoFrame, treatment: Treatment) -> None:
    form = PictureForm.of(picture, treatment)
    assert not len(PictureReader(form, treatment).pieces(picture))


def test_of_a_picture_of_another_size_than_the_first_a_frame_is_made() -> None:
    form = PictureForm.of(_random_picture("yuv420p", 128, 48))
    assert not len(PictureReader(form).pieces(_random_picture("yuv420p", 128, 64)))


@pytest.mark.parametrize(
    "pix_fmt", ["yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv420p10le", "yuv422p10le", "yuv444p12le"]
)
@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_other_yuv_keeps_matrix_and_range(pix_fmt: str, color_range: ColorRange, matrix: int) -> None:
    picture = _flat_picture(pix_fmt, 64, 48, YUV)
    picture.color_range, picture.colorspace = color_range, matrix

    form, frame = _read(picture)

    full = color_range == ColorRange.JPEG or pix_fmt.startswith("yuvj")
    assert form.layout.color.range == ("full" if full else "limited")
    assert form.layout.color.matrix_code == matrix
    for plane, value in zip(form.layout.planes(frame), YUV, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1  # dithering


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgra", "gbrp", "rgb48le"])
def test_rgb_becomes_bt709_limited(pix_fmt: str) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    picture = av.VideoFrame.from_ndarray(red, "rgb24").reformat(format=pix_fmt)

    form, frame = _read(picture)

    assert (form.layout.color.matrix, form.layout.color.range) == ("bt709", "limited")
    assert form.layout.color.matrix_code == 1
    for plane, value in zip(form.layout.planes(frame), (63, 102, 240), strict=True):  # ITU-R BT.709 red
        assert np.abs(plane.astype(int) - value).max() <= 1


@pytest.mark.parametrize(("color_range", "name"), [(ColorRange.MPEG, "limited"), (ColorRange.JPEG, "full")])
def test_gray_keeps_its_values_whatever_its_range(color_range: ColorRange, name: str) -> None:
    picture = _flat_picture("gray", 64, 48, (200,))
    picture.color_range = color_range

    form, frame = _read(picture)

    assert form.layout.color.range == name
    assert [set(plane.ravel().tolist()) for plane in form.layout.planes(frame)] == [{200}, {128}, {128}]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_image_has_all_the_range_that_its_tags_say(
    tmp_path: Path, suffix: str, dtype: type[np.unsignedinteger[Any]]
) -> None:
    ramp = np.tile(np.linspace(0, np.iinfo(dtype).max, 64).astype(dtype), (64, 1))
    if suffix == "jpg":
        ramp = (ramp // (np.iinfo(dtype).max // 255)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / f"ramp.{suffix}"), ramp)
    with av.open(tmp_path / f"ramp.{suffix}") as file:
        form, frame = _read(next(file.decode(video=0)))
    luma = form.layout.planes(frame)[0].astype(int)
    black, white = (0, 255) if form.layout.color.range == "full" else (16, 235)
    assert abs(luma.min() - black) <= 1
    assert abs(luma.max() - white) <= 1
    assert form.layout.color.matrix_code != 0


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "yuva444p", "nv12"])
def test_yuv_whose_matrix_says_rgb_is_yuv_of_which_nothing_is_said(pix_fmt: str) -> None:
    picture = _flat_picture("yuva444p", 64, 48, (*YUV, 255)).reformat(format=pix_fmt)
    picture.colorspace, picture.color_range = 0, 0

    form, frame = _read(picture)

    assert form.layout.color == Color("bt601", "limited", 2, 2, 2)
    for plane, value in zip(form.layout.planes(frame), YUV, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


@pytest.mark.parametrize(
    ("height", "matrix"), [(288, "bt601"), (576, "bt601"), (578, "bt709"), (1080, "bt709")]
)
def test_untagged_video_is_guessed_from_its_height_and_stays_untagged(height: int, matrix: str) -> None:
    color = PictureForm.of(av.VideoFrame(64, height, "yuv420p")).layout.color

    assert (color.matrix, color.range) == (matrix, "limited")
    assert (color.matrix_code, color.primaries, color.transfer) == (2, 2, 2)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_ten_bits_are_kept_however_the_picture_is_turned(rotation: int, mirrored: bool) -> None:
    picture = av.VideoFrame(64, 48, DEEP_FORMAT)
    rng = np.random.default_rng(0)
    for coded in picture.planes:
        coded.update(rng.integers(0, 1024, coded.buffer_size // 2).astype("<u2").tobytes())
    form = PictureForm.of(picture, stored=Orientation(rotation, mirrored))

    shown = form.layout.deep_planes(PictureReader(form).read_deep(picture))

    for index, plane in enumerate(shown):
        filmed = _rows(picture, index).view("<u2")[:, : picture.planes[index].width]
        filmed = np.fliplr(filmed) if mirrored else filmed
        np.testing.assert_array_equal(plane, np.rot90(filmed, -rotation // 90))


def test_tags_are_kept() -> None:
    picture = av.VideoFrame(64, 48, "yuv420p")
    picture.colorspace, picture.color_range = Colorspace.BT2020, ColorRange.JPEG
    picture.color_primaries, picture.color_trc = 9, 16

    assert PictureForm.of(picture).layout.color == Color("bt2020", "full", 9, 16, 9)


def test_a_picture_of_another_size_is_scaled_to_the_first() -> None:
    form, _ = _read(_flat_picture("yuv420p", 64, 48, YUV))

    frame = PictureReader(form).read(_flat_picture("yuv420p", 128, 96, YUV))

    for plane, value in zip(form.layout.planes(frame), YUV, strict=True):
        assert set(plane.ravel().tolist()) == {value}


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 48), (64, 1)])
def test_a_picture_one_pixel_wide_or_high_is_widened(width: int, height: int) -> None:
    form, frame = _read(_flat_picture("yuv420p", width, height, YUV))

    assert (form.layout.width, form.layout.height) == (max(2, width), max(2, height))
    for plane, value in zip(form.layout.planes(frame), YUV, strict=True):
        assert set(plane.ravel().tolist()) == {value}
