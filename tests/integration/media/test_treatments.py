"""Interlaced, transparent and high-dynamic-range footage."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app.errors import TooManyPixels, UnsupportedMedia
from app.media.backdrop import read_backdrop
from app.media.findings import Findings
from app.media.frames import FrameLayout, I420Frame
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.tone_mapping import HLG, PQ, mapped, unmapped
from app.media.treatment import AS_SERVED, PICTURE, PLAIN, Treatment
from app.media.video import decode_frames
from app.notices import NoticeCode

LIMITS = VideoLimits(max_seconds=60, max_pixels=1920 * 1080)
SIZE = 128


def _decode(
    path: Path, treatment: Treatment = AS_SERVED, backdrop: Path | None = None
) -> tuple[VideoInfo, list[I420Frame], list[str]]:
    info = probe_video(path, LIMITS, treatment)
    findings = Findings()
    frames = list(decode_frames(path, info, LIMITS, findings, backdrop))
    return info, frames, [told["code"] for told in findings.notices(treatment.behind)]


def _interlaced(path: Path, count: int = 10) -> Path:
    """Write a bright bar that moves by 8 pixels a field, 25 frames of two fields a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "qp": "4"})
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(count):
            frame = np.full((SIZE * 3 // 2, SIZE), 128, np.uint8)
            for field in (0, 1):
                left = 8 + 4 * (2 * number + field)
                frame[field:SIZE:2] = 40
                frame[field:SIZE:2, left : left + 24] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "yuv420p")))
        container.mux(stream.encode(None))
    return path


def _combing(info: VideoInfo, frame: I420Frame) -> float:
    """Return how much each row differs from the mean of the rows above and below it."""
    luma = info.layout.planes(frame)[0].astype(float)
    return float(np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean())


def test_interlaced_footage_is_made_whole_at_its_own_rate_and_length(tmp_path: Path) -> None:
    path = _interlaced(tmp_path / "a.mp4")

    plain, combed, silent = _decode(path, PLAIN)
    info, frames, codes = _decode(path)

    assert info.fps == plain.fps == 25
    assert len(frames) == len(combed) == 10
    assert max(_combing(info, frame) for frame in frames[1:-1]) < 1
    assert min(_combing(plain, frame) for frame in combed[1:-1]) > 3
    assert (codes, silent) == ([NoticeCode.DEINTERLACED], [])


def _transparent(path: Path, codec: str, pix_fmt: str, count: int = 3) -> Path:
    """Write an opaque white square on a red that nobody may see."""
    image = np.zeros((SIZE, SIZE, 4), np.uint8)
    image[..., 0] = 255
    image[32:96, 32:96] = 255
    with av.open(str(path), "w", format=None if path.suffix != ".apng" else "apng") as container:
        options = {"auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = SIZE
        stream.pix_fmt = pix_fmt
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgba").reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libvpx-vp9", "yuva420p", "webm"),
        ("libvpx", "yuva420p", "webm"),
        ("prores_ks", "yuva444p10le", "mov"),
        ("png", "rgba", "mov"),
        ("apng", "rgba", "apng"),
    ],
)
def test_transparent_footage_is_laid_onto_the_background(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    path = _transparent(tmp_path / f"a.{suffix}", codec, pix_fmt)

    info, frames, codes = _decode(path, Treatment(background="#2040a0"))

    image = info.layout.to_bgr(frames[-1]).astype(int)
    assert np.abs(image[10, 10] - [0xA0, 0x40, 0x20]).max() <= 4
    assert image[64, 64].min() >= 250
    assert codes == [NoticeCode.ALPHA_FLATTENED]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libvpx-vp9", "yuva420p", "webm"),
        ("prores_ks", "yuva444p10le", "mov"),
        ("png", "rgba", "mov"),
        ("png", "rgb24", "mov"),
    ],
)
def test_transparent_footage_may_be_decoded_as_it_is(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    path = _transparent(tmp_path / f"a.{suffix}", codec, pix_fmt)
    info = probe_video(path, LIMITS, replace(AS_SERVED, transparent=True))
    frame = list(decode_frames(path, info, LIMITS))[-1]
    assert len(frame) == info.frame_bytes
    opacity = info.layout.opacity(frame)
    assert (opacity[36:92, 36:92] == 255).all()
    assert (opacity[:28] == (255 if pix_fmt == "rgb24" else 0)).all()
    red = info.layout.to_bgr(frame[: info.layout.frame_bytes])[10, 10].astype(int)
    assert np.abs(red - [0, 0, 255]).max() <= 8


CORNERS = ((0xC0, 0x30, 0x30), (0x30, 0xC0, 0x30), (0x30, 0x30, 0xC0), (0xC0, 0xC0, 0x30))
"""BGR of the four quarters of a picture: upper left, upper right, lower left, lower right."""


def _quarters(path: Path, width: int, height: int) -> Path:
    """Write a picture of four colours."""
    image = np.empty((height, width, 3), np.uint8)
    for number, color in enumerate(CORNERS):
        rows = slice(height // 2) if number < 2 else slice(height // 2, None)
        image[rows, (slice(width // 2) if number % 2 == 0 else slice(width // 2, None))] = color
    cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
@pytest.mark.parametrize(("width", "height"), [(SIZE, SIZE), (400, 200), (60, 301), (1000, 1000)])
@pytest.mark.parametrize("rotate", [0, 90])
def test_a_picture_as_the_background_fills_the_frame_upright(
    tmp_path: Path, suffix: str, width: int, height: int, rotate: int
) -> None:
    path = _transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p")
    picture = _quarters(tmp_path / f"b.{suffix}", width, height)

    info, frames, codes = _decode(path, Treatment(rotate, PICTURE + "ab"), picture)

    image = info.layout.to_bgr(frames[-1]).astype(int)
    for (row, column), color in zip(((12, 12), (12, 115), (115, 12), (115, 115)), CORNERS, strict=True):
        assert np.abs(image[row, column] - color).max() <= (24 if suffix == "gif" else 12)  # a small palette
    assert image[64, 64].min() >= 250
    assert codes == [NoticeCode.ALPHA_FLATTENED]


@pytest.mark.parametrize(("width", "height"), [(2, 16_000), (16_000, 2)])
def test_a_background_of_a_strange_shape_is_cropped_before_it_is_scaled(
    tmp_path: Path, width: int, height: int
) -> None:
    layout, path = FrameLayout(1920, 1080), tmp_path / "b.png"
    cv2.imwrite(str(path), np.full((height, width, 3), CORNERS[0], np.uint8))

    planes = read_backdrop(path, LIMITS, layout)

    image = layout.to_bgr(np.concatenate([plane.ravel() for plane in planes]))
    assert np.abs(image.astype(int) - CORNERS[0]).max() <= 3


@pytest.mark.parametrize("name", ["text", "nothing", "zip", "video", "half"])
def test_a_background_that_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    path, backdrop = _transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p"), tmp_path / "b.png"
    whole = _quarters(tmp_path / "c.png", 64, 64).read_bytes()
    video = _interlaced(tmp_path / "v.mp4").read_bytes()
    contents = {"text": b"/etc/passwd", "nothing": b"", "zip": b"PK\3\4" + bytes(99), "half": whole[:60]}
    backdrop.write_bytes((contents | {"video": video})[name])
    fault = "empty" if name == "nothing" else "not a readable picture"
    with pytest.raises(UnsupportedMedia, match=rf"^background: The file is {fault}\. Send"):
        _decode(path, Treatment(background=PICTURE + "ab"), backdrop)


def test_a_background_that_is_an_animated_webp_is_told_what_to_send_instead(tmp_path: Path) -> None:
    backdrop = tmp_path / "b.webp"
    with av.open(backdrop, "w", format="webp") as container:
        stream = container.add_stream("libwebp_anim", 10)
        stream.width = stream.height = 64
        for shade in (0, 255):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8), "bgr24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedMedia, match=r"^background: An animated WebP cannot be read\. Send a JPEG"):
        read_backdrop(backdrop, LIMITS, FrameLayout(64, 64))


def test_a_background_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = _transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p")
    small = _quarters(tmp_path / "c.png", 64, 64).read_bytes()
    side = (10_000).to_bytes(4, "big")
    (tmp_path / "b.png").write_bytes(small[:16] + side + side + small[24:])
    with pytest.raises(TooManyPixels, match=r"^background: .*10000x10000"):
        _decode(path, Treatment(background=PICTURE + "ab"), tmp_path / "b.png")


def test_a_blurred_background_is_made_of_what_is_opaque(tmp_path: Path) -> None:
    path = _transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p")

    info, frames, _ = _decode(path, Treatment(background="blur"))

    assert info.layout.to_bgr(frames[0]).min() >= 235  # white spreads; nothing of the hidden red


def test_a_picture_that_is_all_opaque_is_untouched_and_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgba"
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 4), 255, np.uint8), "rgba")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    info, frames, codes = _decode(path)

    assert info.layout.to_bgr(frames[0]).min() >= 253
    assert codes == []


def _hdr(path: Path, transfer: int, level: float) -> Path:
    """Write grey of a signal ``level``, 0 to 1, in 10 bits of BT.2020."""
    with av.open(str(path), "w") as container:
        tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none"
        stream = container.add_stream(
            "libx265", rate=25, options={"x265-params": tags, "preset": "ultrafast"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, transfer, 9
        frame = av.VideoFrame(SIZE, SIZE, "yuv420p10le")
        for number, plane in enumerate(frame.planes):
            value = round(64 + 876 * level) if number == 0 else 512
            plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
        frame.color_primaries, frame.color_trc, frame.colorspace = 9, transfer, 9
        for number in range(4):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("level", [0.2, 0.45, 0.6])
def test_high_dynamic_range_becomes_bt709(tmp_path: Path, transfer: int, level: float) -> None:
    info, frames, codes = _decode(_hdr(tmp_path / "a.mp4", transfer, level))

    color = info.layout.color
    assert (color.matrix, color.primaries, color.transfer, color.matrix_code) == ("bt709", 1, 1, 1)
    expected = 255 * mapped(np.full((1, 3), level), transfer)[0, 0]
    image = info.layout.to_bgr(frames[0])
    assert np.abs(image.astype(float) - expected).max() < 4
    assert codes == [NoticeCode.HDR_MAPPED]


def test_tone_mapping_keeps_order_white_and_the_hue_of_skin() -> None:
    ramp = np.repeat(np.linspace(0, 1, 200)[:, None], 3, 1)
    for transfer in (PQ, HLG):
        shown = mapped(ramp, transfer)
        assert (np.diff(shown[:, 0]) >= -1e-9).all()
        assert shown[0, 0] == 0
        assert shown[-1, 0] == pytest.approx(1, abs=0.01)
        assert np.ptp(shown, axis=1).max() < 2e-3
    skin = mapped(np.array([[0.45, 0.40, 0.37]]), PQ)[0]
    assert skin[0] > skin[1] > skin[2]


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_was_mapped_can_be_mapped_back(transfer: int) -> None:
    shown = np.random.default_rng(1).uniform(0.05, 0.9, (1000, 3))
    assert np.abs(mapped(unmapped(shown, transfer), transfer) - shown).max() < 0.01


def test_a_constant_rate_is_not_called_varying(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    times = [0, 1, 2, 3, 8, 9, 10, 15, 16, 17]
    for name, shown in (("steady", range(10)), ("varying", times)):
        path = tmp_path / f"{name}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            for time in shown:
                frame = av.VideoFrame.from_ndarray(np.full((72, 64), 128, np.uint8), "yuv420p")
                frame.pts, frame.time_base = time, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        expected = [NoticeCode.RATE_MADE_CONSTANT] if name == "varying" else []
        assert _decode(path)[2] == expected
