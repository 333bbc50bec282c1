"""Photos and animated pictures where a video is asked for."""

import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app.errors import MediaTooLong, NotAVideo, TooManyPixels
from app.media.frames import BgrImage
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.treatment import GREY, Treatment
from app.media.video import decode_frames
from tests.support.clips import portrait

LIMITS = VideoLimits(max_seconds=60, max_pixels=1920 * 1080)
AS_SERVED = Treatment(0, GREY, deinterlace=True, tone_map=True)


def _decode(path: Path, limits: VideoLimits = LIMITS) -> tuple[VideoInfo, list[BgrImage]]:
    info = probe_video(path, limits, AS_SERVED)
    return info, [info.layout.to_bgr(frame) for frame in decode_frames(path, info, limits)]


def _exif(orientation: int) -> bytes:
    """Return an APP1 segment with nothing but an orientation."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 1) + entry + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def _animation(path: Path, codec: str, pix_fmt: str, times: list[int], size: int = 64) -> Path:
    """Write grey pictures that grow lighter, shown at these hundredths of a second."""
    last = {"final_delay": "10"} if codec == "gif" else {}
    with av.open(str(path), "w", format=path.suffix[1:], options=last) as container:
        stream = container.add_stream(codec, rate=100)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 100)
        for number, time in enumerate(times):
            grey = np.full((size, size, 3), 30 + 20 * (number % 10), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_photo_is_one_frame_at_25_fps(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), portrait())

    info, frames = _decode(path)

    assert (info.layout.width, info.layout.height) == (512, 512)
    assert info.fps == 25
    assert len(frames) == info.frame_count == 1
    assert np.abs(frames[0].astype(int) - portrait()).mean() < 4


@pytest.mark.parametrize("name", ["upload", "a.mp4", "a%03d.png"])
def test_a_picture_is_told_by_its_content_and_no_other_file_is_opened(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / "a001.png"), np.zeros((64, 64, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "picture.png"), portrait())
    path = (tmp_path / "picture.png").rename(tmp_path / name)

    _, frames = _decode(path)

    assert np.abs(frames[0].astype(int) - portrait()).mean() < 4


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda image: image),
        (2, lambda image: cv2.flip(image, 1)),
        (3, lambda image: cv2.rotate(image, cv2.ROTATE_180)),
        (4, lambda image: cv2.flip(image, 0)),
        (5, lambda image: cv2.transpose(image)),
        (6, lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        (7, lambda image: cv2.rotate(cv2.transpose(image), cv2.ROTATE_180)),
        (8, lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
    ],
)
def test_all_orientations_of_exif_are_shown_upright(tmp_path: Path, orientation: int, stored: object) -> None:
    assert callable(stored)
    shown = np.ascontiguousarray(portrait()[:400])
    _, jpeg = cv2.imencode(".jpg", stored(shown))
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg.tobytes()[:2] + _exif(orientation) + jpeg.tobytes()[2:])

    _, frames = _decode(path)

    assert frames[0].shape == shown.shape
    assert np.abs(frames[0].astype(int) - shown).mean() < 5


@pytest.mark.parametrize(("codec", "pix_fmt", "suffix"), [("gif", "gray", "gif"), ("apng", "rgb24", "apng")])
def test_an_animation_has_its_own_rate(tmp_path: Path, codec: str, pix_fmt: str, suffix: str) -> None:
    path = _animation(tmp_path / f"a.{suffix}", codec, pix_fmt, [10 * i for i in range(8)])

    info, frames = _decode(path)

    assert info.fps == 10
    assert [round((int(frame[32, 32, 0]) - 30) / 20) for frame in frames] == list(range(8))


def test_an_animation_of_varying_rate_is_as_long_as_it_is_shown(tmp_path: Path) -> None:
    info, frames = _decode(_animation(tmp_path / "a.gif", "gif", "gray", [0, 50, 60, 160, 170, 180]))

    shown = [round((int(frame[32, 32, 0]) - 30) / 20) for frame in frames]
    assert len(frames) / info.fps == pytest.approx(1.9, abs=0.11)
    assert shown.count(2) / info.fps == pytest.approx(1.0, abs=0.1)


def test_an_animation_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = _animation(tmp_path / "a.gif", "gif", "gray", [2 * i for i in range(2000)], size=16)

    with pytest.raises(MediaTooLong, match="limit is 10 s"):
        _decode(path, VideoLimits(max_seconds=10, max_pixels=1 << 20))


def test_a_photo_of_a_hundred_megapixels_is_refused_by_its_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    head = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head)

    with pytest.raises(TooManyPixels, match="10000x10000"):
        _decode(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_large_photos_are_refused_by_their_header(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), np.zeros((300, 400, 3), np.uint8))

    with pytest.raises(TooManyPixels, match="400x300"):
        _decode(tmp_path / f"a.{suffix}", VideoLimits(max_seconds=10, max_pixels=100_000))


def test_an_animated_webp_is_told_what_to_send_instead(tmp_path: Path) -> None:
    path = _animation(tmp_path / "a.webp", "libwebp_anim", "yuv420p", [0, 10, 20])
    with pytest.raises(NotAVideo, match="animated WebP cannot be read; send it as GIF, APNG"):
        _decode(path)


def test_a_zip_by_the_name_of_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "no picture")

    with pytest.raises(NotAVideo):
        _decode(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif"])
def test_a_picture_cut_short_is_refused_or_shown_but_never_breaks(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), portrait())
    whole = path.read_bytes()
    refused = 0
    for share in (0.0005, 0.01, 0.5, 0.95):
        path.write_bytes(whole[: max(3, int(share * len(whole)))])
        try:
            _decode(path)
        except NotAVideo:
            refused += 1
    assert refused
