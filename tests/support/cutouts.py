"""Footage of a head that was cut out, made by code, and looking at what is transparent."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from app.media.frames import FrameLayout
from tests.support.clips import moving_portrait
from tests.support.frames import i420

Opacities = npt.NDArray[np.uint8]
"""uint8 (rows, columns), 255 where a picture is opaque."""

HIDDEN = (255, 0, 255)
"""What lies hidden where nothing is opaque, BGR."""


def opacity_of(index: int, width: int, height: int) -> Opacities:
    """Return how opaque frame ``index`` is: an oval about the head with a soft edge, which sways."""
    rows, columns = np.mgrid[:height, :width]
    apart = np.hypot((columns - width * 0.5 - index) / width, (rows - height * 0.5) / height)
    opacity: Opacities = np.clip((0.46 - apart) * 2000, 0, 255).astype(np.uint8)
    return opacity


def cutout(path: Path, count: int = 12, width: int = 320, height: int = 240) -> Path:
    """Write the swaying portrait, cut out, as a WebM without loss; return its path."""
    layout = FrameLayout(width, height)
    with av.open(str(path), "w") as container:
        options = {"lossless": "1", "auto-alt-ref": "0", "cpu-used": "8", "deadline": "realtime"}
        stream = container.add_stream("libvpx-vp9", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuva420p"
        for index in range(count):
            opacity = opacity_of(index, width, height)
            image = moving_portrait(index, width, height)
            image[opacity == 0] = HIDDEN
            frame = av.VideoFrame(width, height, "yuva420p")
            for plane, values in zip(
                frame.planes, (*layout.planes(i420(image, layout)), opacity), strict=True
            ):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                rows[:, : plane.width] = values
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_transparent(path: Path) -> list[tuple[list[npt.NDArray[np.float64]], Opacities]]:
    """Decode all pictures of a WebM or a MOV; return their Y, U and V, 0..255, and their opacities."""
    pictures = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        webm = "webm" in container.format.name
        decoder = av.CodecContext.create("libvpx-vp9", "r") if webm else stream.codec_context
        for packet in container.demux(stream):
            for picture in decoder.decode(packet if packet.size else None):
                assert isinstance(picture, av.VideoFrame)
                *colors, opacity = _planes(picture)
                pictures.append((colors, np.rint(opacity).astype(np.uint8)))
    return pictures


def _planes(picture: av.VideoFrame) -> list[npt.NDArray[np.float64]]:
    """Return the four planes of a picture as numbers of 8 bits."""
    deep = next((bits for bits in (10, 12) if str(bits) in picture.format.name), 8)
    planes = []
    for number, plane in enumerate(picture.planes):
        kind = np.dtype("u1" if deep == 8 else "<u2")
        rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        # opacities are spread over all values; colours are multiplied
        scale = 255 / (2**deep - 1) if number == 3 else 2.0 ** (8 - deep)
        planes.append(rows * scale)
    return planes
