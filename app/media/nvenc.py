"""Whether NVIDIA's encoder works here, found out by encoding, because it can fail for many reasons.

FFmpeg always has it; the card (data-centre Hopper cards have none), the driver and the container's
capabilities decide. The trial covers what a render relies on: runs that start with an IDR picture, with the
same parameter sets, and that decode to what was encoded.
"""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np

from app.errors import EngineUnavailable
from app.media.encoder import VideoFormat, add_video_stream, encode_pictures
from app.media.frames import FrameLayout, I420Frame
from app.media.quality import Encoder, EncoderSettings, encoder_settings

_LAYOUT: Final = FrameLayout(320, 192)
_FRAMES: Final = 24
_LEAST_PSNR: Final = 30.0
"""dB of luma; what works reaches 40 on these pictures."""


def choose_encoder(wanted: str, device: str) -> Encoder:
    """Return the encoder for ``wanted`` (auto, x264, nvenc) beside a model on ``device``.

    Raises EngineUnavailable if NVENC is wanted and does not work.
    """
    if wanted == "x264" or (wanted == "auto" and not device.startswith("cuda")):
        return "libx264"
    if encodes(encoder_settings("standard", encoder="h264_nvenc")):
        return "h264_nvenc"
    if wanted == "nvenc":
        raise EngineUnavailable(
            "MOUTHPIECE_VIDEO_ENCODER is nvenc, but a trial with it failed: it needs an NVIDIA card with an "
            "encoder and, in a container, video in NVIDIA_DRIVER_CAPABILITIES. auto uses x264 instead."
        )
    return "libx264"


def encodes(settings: EncoderSettings) -> bool:
    """Tell whether two runs of the encoder can be joined and decode to the pictures that went in."""
    try:
        runs = [_run(settings, first) for first in (0, _FRAMES)]
    except (av.FFmpegError, ValueError):
        return False
    headers = {header for header, _ in runs}
    return len(headers) == 1 and all(psnr >= _LEAST_PSNR for _, psnr in runs)


def _run(settings: EncoderSettings, first: int) -> tuple[bytes | None, float]:
    """Encode and decode a few pictures; return the parameter sets and the PSNR of the luma."""
    file, made = io.BytesIO(), list(_pictures(first))
    with av.open(file, "w", format="mp4") as container:
        stream = add_video_stream(container, VideoFormat(_LAYOUT, Fraction(25)), settings)
        container.start_encoding()
        header = stream.codec_context.extradata
        for packet in encode_pictures(stream, made, _LAYOUT):
            container.mux(packet)
    file.seek(0)
    with av.open(file, "r") as encoded:
        pictures = [picture.to_ndarray() for picture in encoded.decode(video=0)]
    if len(pictures) != len(made):
        raise ValueError(f"{len(made)} pictures became {len(pictures)}")
    luma = slice(0, _LAYOUT.height * _LAYOUT.width)
    error = np.stack([p.reshape(-1)[luma] for p in pictures]).astype(np.float64)
    error -= np.stack([p[luma] for p in made])
    return header, float(10 * np.log10(255**2 / max(np.square(error).mean(), 1e-9)))


def _pictures(first: int) -> Iterator[I420Frame]:
    """Yield a soft pattern that moves."""
    rows, columns = np.mgrid[: _LAYOUT.height, : _LAYOUT.width]
    for index in range(first, first + _FRAMES):
        frame = np.full(_LAYOUT.frame_bytes, 128, np.uint8)
        wave = np.sin((columns + 3 * index) / 17) + np.cos((rows - 2 * index) / 11)
        _LAYOUT.planes(frame)[0][:] = 128 + 45 * wave
        yield frame
