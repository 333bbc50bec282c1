from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app.errors import MediaTooLong, NotAVideo
from app.media.frames import FrameLayout, I420Frame
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.video import decode_frames, decode_pieces
from tests.support.clips import moving_portrait, write_video
from tests.support.renders import numbered_frame

LIMITS = VideoLimits(max_seconds=60, max_pixels=1920 * 1080)
LAYOUT = FrameLayout(64, 48)


def _write(
    path: Path,
    times: Sequence[int],
    time_base: Fraction,
    *,
    codec: str = "libx264",
    rotation: int = 0,
    hflip: bool = False,
    frames: Sequence[I420Frame] | None = None,
    layout: FrameLayout = LAYOUT,
    fps: Fraction = Fraction(25),
    last_duration: int | None = None,
) -> Path:
    """Write numbered frames (or ``frames``) shown at ``times``, in units of ``time_base``."""
    with av.open(str(path), "w") as container:
        lossless = {"qp": "0", "preset": "ultrafast"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=fps, options=lossless)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = layout.width, layout.height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = time_base
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        for number, time in enumerate(times):
            frame = numbered_frame(layout, number) if frames is None else frames[number]
            picture = av.VideoFrame.from_ndarray(frame.reshape(-1, layout.width), "yuv420p")
            picture.pts, picture.time_base = time, time_base
            container.mux(stream.encode(picture))
        for packet in stream.encode(None):
            if last_duration and packet.pts == times[-1]:
                packet.duration = last_duration
            container.mux(packet)
    return path


def _decode(path: Path, limits: VideoLimits = LIMITS) -> tuple[VideoInfo, list[I420Frame]]:
    info = probe_video(path, limits)
    return info, list(decode_frames(path, info, limits))


def _numbers(info: VideoInfo, frames: list[I420Frame]) -> list[int]:
    return [round((int(info.layout.planes(frame)[0][0, 0]) - 30) / 10) for frame in frames]


def test_a_constant_rate_gives_every_picture_once_unchanged(tmp_path: Path) -> None:
    info, frames = _decode(_write(tmp_path / "a.mp4", range(15), Fraction(1, 25)))

    assert info.fps == 25
    assert info.frame_count == len(frames) == 15
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, numbered_frame(LAYOUT, number))


@pytest.mark.parametrize(("width", "rotation"), [(128, 0), (72, 0), (128, 90)])
def test_in_pieces_a_video_has_the_same_frames(tmp_path: Path, width: int, rotation: int) -> None:
    path = _write(
        tmp_path / "a.mp4", [0, 1, 2, 5, 6], Fraction(1, 25), rotation=rotation, layout=FrameLayout(width, 48)
    )
    info, frames = _decode(path)
    pieces = list(decode_pieces(path, info, LIMITS))
    assert [b"".join(piece.tobytes() for piece in each) for each in pieces] == [f.tobytes() for f in frames]
    assert {len(each) for each in pieces} == {3 if (width, rotation) == (128, 0) else 1}


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(50), Fraction(60)])
def test_timestamps_in_whole_milliseconds_neither_double_nor_drop(tmp_path: Path, fps: Fraction) -> None:
    times = [round(1000 * i / fps) for i in range(18)]

    info, frames = _decode(_write(tmp_path / "a.mkv", times, Fraction(1, 1000), fps=fps))

    assert abs(info.fps - fps) < Fraction(1, 10)
    assert _numbers(info, frames) == list(range(18))


def test_a_variable_rate_becomes_constant_by_timestamp(tmp_path: Path) -> None:
    times_ms = [0, 40, 80, 200, 240, 400, 520, 560, 600, 640]

    info, frames = _decode(_write(tmp_path / "a.mp4", times_ms, Fraction(1, 1000)))

    on_screen = [
        max(number for number, time in enumerate(times_ms) if time <= 40 * i) for i in range(len(frames))
    ]
    assert info.fps == 25
    assert _numbers(info, frames) == on_screen
    assert len(frames) == 17


def test_a_clock_rate_is_not_taken_for_a_frame_rate(tmp_path: Path) -> None:
    times = [0, 3601, 7199, 10803, 14400, 17997, 21600]

    info, frames = _decode(_write(tmp_path / "a.mp4", times, Fraction(1, 90000)))

    assert 24 < info.fps < 26
    assert _numbers(info, frames) == list(range(7))


def test_a_very_high_rate_is_thinned_out(tmp_path: Path) -> None:
    info, frames = _decode(_write(tmp_path / "a.mp4", range(40), Fraction(1, 1000), fps=Fraction(1000)))

    assert info.fps <= 120
    assert len(frames) == max(1, round(0.04 * info.fps))


def test_a_single_picture_works(tmp_path: Path) -> None:
    info, frames = _decode(_write(tmp_path / "a.mp4", [0], Fraction(1, 25)))

    assert info.frame_count == 1
    assert _numbers(info, frames) == [0]


def test_a_video_that_starts_late_starts_with_its_first_picture(tmp_path: Path) -> None:
    info, frames = _decode(_write(tmp_path / "a.mkv", range(5000, 5400, 40), Fraction(1, 1000)))

    assert _numbers(info, frames) == list(range(10))


@pytest.mark.parametrize("clocks", [(0, 0), (0, 7200), (7200, 0), (7200, 7230)])
@pytest.mark.parametrize(("suffix", "codec"), [("ts", "mpeg2video"), ("mpg", "mpeg1video")])
def test_two_recordings_joined_are_shown_one_after_the_other(
    tmp_path: Path, suffix: str, codec: str, clocks: tuple[int, int]
) -> None:
    """Their clocks begin at so many seconds."""
    path = tmp_path / f"a.{suffix}"
    joined = b""
    for clock in clocks:
        times = range(25 * clock, 25 * clock + 12)
        joined += _write(path, times, Fraction(1, 25), codec=codec).read_bytes()
    path.write_bytes(joined)

    info, frames = _decode(path)

    assert _numbers(info, frames) == [*range(12), *range(12)]


def test_a_broadcast_is_as_long_as_its_packets_and_may_be_too_long(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ts", range(100), Fraction(1, 25), codec="mpeg2video")
    path.write_bytes(path.read_bytes() * 2)

    with pytest.raises(MediaTooLong, match=r"8\.0 s"):
        probe_video(path, VideoLimits(max_seconds=3, max_pixels=LIMITS.max_pixels))


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_metadata_is_applied(tmp_path: Path, rotation: int, hflip: bool) -> None:
    upright = LAYOUT.planes(_corner_marked())
    path = _write(
        tmp_path / "a.mp4",
        [0],
        Fraction(1, 25),
        rotation=rotation,
        hflip=hflip,
        frames=[_corner_marked()],
    )

    info, frames = _decode(path)

    shown = [np.rot90(plane, rotation // 90) for plane in upright]  # counter-clockwise, as the file says
    shown = [np.fliplr(plane) for plane in shown] if hflip else shown
    for plane, expected in zip(info.layout.planes(frames[0]), shown, strict=True):
        np.testing.assert_array_equal(plane, expected)


def _corner_marked() -> I420Frame:
    """Return a frame whose corners differ in every plane."""
    frame = np.full(LAYOUT.frame_bytes, 128, np.uint8)
    for plane in LAYOUT.planes(frame):
        rows, columns = plane.shape
        plane[: rows // 2, : columns // 2] = 60
        plane[: rows // 2, columns // 2 :] = 100
        plane[rows // 2 :, : columns // 2] = 160
    return frame


def test_a_turned_video_swaps_its_pixel_aspect(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)
        picture = av.VideoFrame.from_ndarray(numbered_frame(LAYOUT, 0).reshape(-1, 64), "yuv420p")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))

    info = probe_video(path, LIMITS)

    assert (info.layout.width, info.layout.height) == (48, 64)
    assert info.sample_aspect_ratio == Fraction(3, 4)


def test_an_odd_size_is_cropped_not_scaled(tmp_path: Path) -> None:
    pictures = [moving_portrait(i, 81, 61) for i in range(3)]
    path = write_video(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="yuv420p", options={})

    info, frames = _decode(path)

    assert (info.layout.width, info.layout.height) == (80, 60)
    expected = av.VideoFrame.from_ndarray(pictures[0], "bgr24").reformat(format="yuv420p")
    luma = np.frombuffer(memoryview(expected.planes[0]), np.uint8).reshape(61, -1)[:60, :80]
    np.testing.assert_array_equal(info.layout.planes(frames[0])[0], luma)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv420p10le", "mp4"),
        ("mpeg4", "yuv420p", "avi"),
        ("mpeg1video", "yuv420p", "mpg"),
        ("mpeg2video", "yuv420p", "ts"),
        ("libvpx-vp9", "yuva420p", "webm"),
        ("mjpeg", "yuvj420p", "mkv"),
        ("ffv1", "bgr0", "mkv"),
        ("png", "rgb24", "mov"),
    ],
)
def test_codecs_and_pixel_formats_look_the_same(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    pictures = [moving_portrait(i, 96, 64) for i in range(5)]
    options = {"crf": "10"} if codec.startswith("lib") else {"b": "4M"} if codec.startswith("mpeg") else {}
    path = write_video(tmp_path / f"a.{suffix}", pictures, 25, codec=codec, pix_fmt=pix_fmt, options=options)

    info, frames = _decode(path)

    assert len(frames) == 5
    shown, wanted = info.layout.to_bgr(frames[2]).astype(float), pictures[2].astype(float)
    error = cv2.GaussianBlur(shown - wanted, (0, 0), 2)  # what is left of chroma subsampling and coding
    assert np.abs(error).mean() < 3
    assert np.abs(error.mean(axis=(0, 1))).max() < 2


def test_a_damaged_stretch_is_skipped(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ts", range(50), Fraction(1, 25), codec="mpeg2video")
    data = bytearray(path.read_bytes())
    start, length = len(data) // 2, len(data) // 10
    data[start : start + length] = bytes(length)
    path.write_bytes(data)

    info, frames = _decode(path)

    assert _numbers(info, frames[:5]) == [0, 1, 2, 3, 4]
    assert _numbers(info, frames[-5:]) == [5, 6, 7, 8, 9]
    assert len(frames) == 50


def test_a_file_without_a_decodable_picture_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4", range(10), Fraction(1, 25))
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux() if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in spans:
        assert position is not None
        data[position : position + size] = bytes(size)
    path.write_bytes(data)

    with pytest.raises(NotAVideo, match="damaged"):
        probe_video(path, LIMITS)


@pytest.mark.parametrize(
    ("times", "last_duration"), [((0, 40, 80, 3_000_000), 40), ((0, 40, 80, 120), 3_000_000)]
)
def test_a_header_that_lies_about_the_length_is_found_out_while_decoding(
    tmp_path: Path, times: tuple[int, ...], last_duration: int
) -> None:
    path = _write(tmp_path / "a.mp4", times, Fraction(1, 1000), last_duration=last_duration)
    limits = VideoLimits(max_seconds=10, max_pixels=LIMITS.max_pixels)
    info = probe_video(path, VideoLimits(max_seconds=1e6, max_pixels=LIMITS.max_pixels))

    with pytest.raises(MediaTooLong):
        list(decode_frames(path, info, limits))
