from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from app.media.encoder import VideoFormat, add_video_stream, encode_pictures
from app.media.excerpts import is_aside, read_frames
from app.media.frames import Color, FrameLayout, I420Frame
from app.media.pieces import encode_piece
from app.media.quality import Quality, encoder_settings
from tests.support.clips import moving_portrait

LAYOUT = FrameLayout(160, 120)
COUNT = 28


def _video(path: Path, quality: Quality, codec: str = "h264", layout: FrameLayout = LAYOUT) -> Path:
    """Write a video as a render does."""
    with av.open(str(path), "w") as container:
        settings = encoder_settings(quality, 1, "libx264" if codec == "h264" else "libx265")
        stream = add_video_stream(container, VideoFormat(layout, Fraction(25)), settings)
        container.start_encoding()
        for packet in encode_pictures(stream, (_frame(index) for index in range(COUNT)), layout):
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts += stream.codec_context.reorder_depth
            packet.dts += stream.codec_context.reorder_depth
            container.mux(packet)
    return path


def _frame(index: int) -> I420Frame:
    picture = av.VideoFrame.from_ndarray(moving_portrait(4 * index, 160, 120), "bgr24")
    return np.asarray(picture.to_ndarray(format="yuv420p"), np.uint8).reshape(-1)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("quality", ["draft", "standard", "high"])
def test_frames_are_the_same_whether_those_between_are_wanted(
    tmp_path: Path, quality: Quality, codec: str
) -> None:
    path = _video(tmp_path / "a.mp4", quality, codec)
    every = dict(read_frames(path, LAYOUT, 0, COUNT))
    assert list(every) == list(range(COUNT))

    for step, first, count in ((2, 0, COUNT), (2, 1, COUNT), (3, 0, 20), (4, 5, 9)):
        some = dict(read_frames(path, LAYOUT, first, count, step))

        assert list(some) == list(range(first, min(first + count, COUNT), step))
        assert all(np.array_equal(some[index], every[index]) for index in some)


@pytest.mark.parametrize("kind", ["h264", "webm", "mov"])
@pytest.mark.parametrize("color", [Color(), Color("bt601", "full", 5, 6, 5)])
def test_frames_have_the_numbers_of_the_footage_whatever_the_format(
    tmp_path: Path, kind: Literal["h264", "webm", "mov"], color: Color
) -> None:
    layout, path = replace(LAYOUT, color=color), tmp_path / "a.mkv"
    if kind == "h264":
        _video(path, "high", layout=layout)
    else:
        frames = (_frame(index) for index in range(COUNT))
        encode_piece(path, frames, COUNT, VideoFormat(layout, Fraction(25)), kind, "high", 1)
    for index, frame in read_frames(path, layout, 0, COUNT):
        for plane, own in zip(layout.planes(frame), layout.planes(_frame(index)), strict=True):
            difference = plane.astype(int) - own
            assert abs(difference.mean()) < 1
            assert np.abs(difference).mean() < 3


def test_of_a_standard_render_half_the_pictures_need_not_be_decoded(tmp_path: Path) -> None:
    with av.open(str(_video(tmp_path / "a.mp4", "standard"))) as container:
        aside = [is_aside(packet) for packet in container.demux(video=0)]

    assert COUNT // 2 - 2 <= sum(aside) <= COUNT // 2 + 1
