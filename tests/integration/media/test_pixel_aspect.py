"""Footage whose pixels are not square: decoded, a disc is round."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.errors import TooManyPixels
from app.media.findings import Findings
from app.media.frames import BgrImage, I420Frame
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.treatment import PLAIN, Treatment
from app.media.video import decode_frames, decode_pieces
from app.notices import NoticeCode
from tests.support.clips import write_video

LIMITS = VideoLimits(max_seconds=60, max_pixels=1920 * 1080)
SQUARE = Treatment(square=True)
STORED = {Fraction(64, 45): (180, 144), Fraction(16, 11): (176, 144), Fraction(3, 4): (256, 108)}
"""Sizes that are shown at 256x144 with pixels of such an aspect."""
PAL = Fraction(64, 45)


def _disc(aspect: Fraction) -> BgrImage:
    """Return a white disc 100 pixels wide, as pixels of this aspect store it."""
    shown = np.full((144, 256, 3), 40, np.uint8)
    cv2.circle(shown, (128, 72), 50, (220, 220, 220), -1)
    return np.asarray(
        cv2.resize(shown, STORED.get(aspect, (256, 144)), interpolation=cv2.INTER_AREA), np.uint8
    )


def _extent(info: VideoInfo, frame: I420Frame) -> tuple[int, int]:
    """Return the width and height of what is bright."""
    if info.treatment.deep:
        bright = info.layout.deep_planes(frame)[0] > 512
    else:
        bright = info.layout.planes(frame[: info.layout.frame_bytes])[0] > 128
    rows, columns = np.nonzero(bright)
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


@pytest.mark.parametrize("aspect", STORED)
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "treatment"),
    [
        ("libx264", "yuv420p", "mp4", SQUARE),
        ("mpeg2video", "yuv420p", "ts", SQUARE),
        ("libx264", "yuv444p", "mp4", SQUARE),
        ("libx264", "gray", "mp4", SQUARE),
        ("png", "rgb24", "mov", SQUARE),
        ("libx264", "yuv420p10le", "mp4", replace(SQUARE, deep=True)),
        ("png", "rgba", "mov", replace(SQUARE, transparent=True)),
        ("png", "rgba", "mov", replace(SQUARE, background="#000000")),
    ],
)
def test_a_disc_is_round(
    tmp_path: Path, aspect: Fraction, codec: str, pix_fmt: str, suffix: str, treatment: Treatment
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_video(path, [_disc(aspect)] * 3, codec=codec, pix_fmt=pix_fmt, aspect=aspect, options={})

    info = probe_video(path, LIMITS, treatment)
    frames = list(decode_frames(path, info, LIMITS))

    assert info.treatment.square
    assert info.sample_aspect_ratio == 1
    assert (info.layout.width, info.layout.height) == (256, 144)
    assert {frame.nbytes for frame in frames} == {info.frame_bytes}
    for frame in frames:
        np.testing.assert_allclose(_extent(info, frame), 101, atol=2)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_turned_disc_is_round(tmp_path: Path, rotate: int) -> None:
    path = write_video(tmp_path / "a.mp4", [_disc(PAL)] * 3, aspect=PAL)

    info = probe_video(path, LIMITS, replace(SQUARE, rotate=rotate))
    frame = next(decode_frames(path, info, LIMITS))

    assert (info.layout.width, info.layout.height) == ((144, 256) if rotate % 180 else (256, 144))
    assert info.sample_aspect_ratio == 1
    np.testing.assert_allclose(_extent(info, frame), 101, atol=2)


@pytest.mark.parametrize("aspect", [Fraction(0), Fraction(1), Fraction(136, 135), Fraction(1, 72)])
def test_pixels_that_are_square_or_cannot_be_as_said_are_left_alone(tmp_path: Path, aspect: Fraction) -> None:
    path = write_video(tmp_path / "a.mp4", [_disc(aspect)] * 3, aspect=aspect)

    info = probe_video(path, LIMITS, SQUARE)
    pieces = next(decode_pieces(path, info, LIMITS))

    assert info.treatment == PLAIN
    assert info.sample_aspect_ratio == (aspect or 1)
    assert (info.layout.width, info.layout.height) == (256, 144)
    assert len(pieces) == 3, "the decoder's planes were not copied"


@pytest.mark.parametrize(
    ("sizes", "aspects", "stretched"),
    [
        ([(180, 144), (180, 144)], [Fraction(16, 15), PAL], True),
        ([(256, 144), (192, 144)], [Fraction(1), Fraction(1)], True),
        ([(256, 144), (180, 144)], [Fraction(1), PAL], False),
        ([(256, 144), (128, 72)], [Fraction(1), Fraction(136, 135)], False),
    ],
)
def test_pictures_of_another_aspect_ratio_than_the_first_are_told_of(
    tmp_path: Path, sizes: list[tuple[int, int]], aspects: list[Fraction], stretched: bool
) -> None:
    path, whole = tmp_path / "a.ts", b""
    for (width, height), aspect in zip(sizes, aspects, strict=True):
        pictures = [np.full((height, width, 3), 90, np.uint8)] * 4
        write_video(path, pictures, codec="mpeg2video", aspect=aspect, options={})
        whole += path.read_bytes()
    path.write_bytes(whole)
    findings = Findings()
    list(decode_frames(path, probe_video(path, LIMITS, SQUARE), LIMITS, findings))
    told = [each["code"] for each in findings.notices("")]
    assert (findings.stretched > 0, NoticeCode.ASPECT_RATIO_CHANGES in told) == (stretched, stretched)


def test_without_that_treatment_frames_are_as_they_are_stored(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [_disc(PAL)] * 3, aspect=PAL)

    info = probe_video(path, LIMITS)

    assert (info.layout.width, info.layout.height, info.sample_aspect_ratio) == (180, 144, PAL)


def test_the_limit_holds_for_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [_disc(PAL)], aspect=PAL)
    limits = VideoLimits(max_seconds=60, max_pixels=30_000)

    assert probe_video(path, limits).layout.width == 180
    with pytest.raises(TooManyPixels, match=r"is 180x144, .* is 256x144, 36864 pixels"):
        probe_video(path, limits, SQUARE)


def test_an_aspect_that_changes_on_the_way_changes_no_frames_size(tmp_path: Path) -> None:
    path, joined = tmp_path / "a.ts", b""
    for aspect in (PAL, Fraction(16, 15)):
        write_video(path, [_disc(PAL)] * 5, codec="mpeg2video", aspect=aspect, options={})
        joined += path.read_bytes()
    path.write_bytes(joined)

    info = probe_video(path, LIMITS, SQUARE)
    frames = list(decode_frames(path, info, LIMITS))

    assert len(frames) == 10
    assert {_extent(info, frame) for frame in frames} == {_extent(info, frames[0])}
