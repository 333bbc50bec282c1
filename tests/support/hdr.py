"""Footage of a high dynamic range, made by code, and looking at results that have one."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from app.media.frames import Color, bgr_to_yuv
from app.media.tone_mapping import unmapped
from tests.support.clips import moving_portrait

DeepPlanes = list[npt.NDArray[np.uint16]]
"""Y, U and V of a picture of 10 bits."""


def hdr_head(path: Path, transfer: int, count: int = 12, width: int = 320, height: int = 240) -> Path:
    """Write the swaying portrait in the colours of BT.2020 with a transfer function; return its path."""
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none:lossless=1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx265", rate=25, options={"x265-params": tags, "preset": "ultrafast"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, transfer, 9
        matrix = bgr_to_yuv(Color("bt2020", "limited", 9, transfer, 9))
        for index in range(count):
            rgb = unmapped(moving_portrait(index, width, height)[..., ::-1] / 255, transfer)
            signal = 4 * ((255 * rgb[..., ::-1]) @ matrix[:, :3].T + matrix[:, 3])
            frame = av.VideoFrame(width, height, "yuv420p10le")
            for number, plane in enumerate(frame.planes):
                values = signal[..., number]
                if number:
                    values = values.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
                rows = np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, plane.line_size // 2)
                rows[:, : plane.width] = np.rint(values)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.color_primaries, frame.color_trc, frame.colorspace = 9, transfer, 9
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_deep(path: Path) -> list[DeepPlanes]:
    """Decode all pictures of a video of 10 bits."""
    pictures = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            assert picture.format.name == "yuv420p10le"
            pictures.append(
                [
                    np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, -1)[:, : plane.width]
                    for plane in picture.planes
                ]
            )
    return pictures
