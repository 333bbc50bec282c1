"""H.264 encoding of I420 frames, and how encoded packets are timed.

Every encoder run starts with an IDR picture and refers to nothing outside of it, so runs can be joined. The
parameter sets depend on the format and the settings alone, never on the pictures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Final

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream
from av.video.reformatter import ColorRange

from app.media.frames import DeepFrame, FrameLayout, I420Frame
from app.media.pictures import DEEP_FORMAT
from app.media.quality import EncoderSettings

HEVC_TAG: Final = "hvc1"
"""How HEVC is called in an MP4; the other way, FFmpeg's default, is not played by Apple's players."""
_KEYFRAME_SECONDS: Final = 5
"""A player can seek to a picture at least this often."""


@dataclass(frozen=True)
class VideoFormat:
    """What is encoded: frames of ``layout`` at the constant rate ``fps``, with pixels of an aspect ratio."""

    layout: FrameLayout
    fps: Fraction
    sample_aspect_ratio: Fraction = Fraction(1)
    transparent: bool = False
    """Whether a frame has a fourth plane after its Y, U and V: how opaque each pixel is, 0..255."""
    deep: bool = False
    """Whether a frame has 10 bits."""

    def grey(self) -> I420Frame:
        """Return a frame of nothing."""
        if self.deep:
            return np.full(self.layout.frame_bytes, 512, "<u2").view(np.uint8)
        return np.full(self.layout.frame_bytes, 128, np.uint8)


def add_video_stream(
    container: OutputContainer, video: VideoFormat, settings: EncoderSettings
) -> av.VideoStream:
    """Add an H.264 or HEVC stream for ``video`` to ``container``; its clock ticks once a frame."""
    own = settings.options(video.layout.width)
    stream = container.add_stream(settings.encoder, rate=video.fps, options=own)
    describe_video(stream.codec_context, video, DEEP_FORMAT if video.deep else "yuv420p")
    if settings.encoder == "libx265":
        stream.codec_context.codec_tag = HEVC_TAG
    stream.time_base = 1 / video.fps
    stream.codec_context.thread_count = settings.threads
    return stream


def describe_video(context: av.VideoCodecContext, video: VideoFormat, pixel_format: str) -> None:
    """Tell an encoder what it will get, ``video`` in a ``pixel_format``."""
    layout, color = video.layout, video.layout.color
    context.width, context.height, context.pix_fmt = layout.width, layout.height, pixel_format
    context.time_base = 1 / video.fps
    context.sample_aspect_ratio = video.sample_aspect_ratio
    context.color_range = ColorRange.JPEG if color.range == "full" else ColorRange.MPEG
    context.colorspace = color.matrix_code
    context.color_primaries = color.primaries
    context.color_trc = color.transfer
    context.gop_size = max(1, round(_KEYFRAME_SECONDS * video.fps))


def encode_pictures(
    stream: av.VideoStream, frames: Iterable[I420Frame], layout: FrameLayout
) -> Iterator["av.Packet[Stream]"]:
    """Encode ``frames`` with ``stream``; frame ``i`` of this run is shown at tick ``i``.

    Decoding times count up by one from minus the depth of reordering, whatever the number of frames: so runs
    can follow each other without a gap. A frame's memory may be used again once the next one is asked for.
    """
    decode_time = -stream.codec_context.reorder_depth
    for picture in chain(_pictures(frames, layout, stream.codec_context.time_base), [None]):
        for packet in stream.encode(picture):
            packet.dts, packet.duration = decode_time, 1
            decode_time += 1
            yield packet


def _pictures(
    frames: Iterable[I420Frame], layout: FrameLayout, time_base: Fraction
) -> Iterator[av.VideoFrame]:
    for index, frame in enumerate(frames):
        picture = wrap_picture(frame, layout) if len(frame) == layout.frame_bytes else _deep(frame, layout)
        picture.pts, picture.time_base = index, time_base
        yield picture


def wrap_picture(frame: I420Frame, layout: FrameLayout) -> av.VideoFrame:
    """Wrap ``frame`` without a copy, as PyAV can for heights that 4 divides; the encoder takes a copy."""
    if layout.height % 4 == 0:
        return av.VideoFrame.from_numpy_buffer(frame.reshape(-1, layout.width), "yuv420p")
    picture = av.VideoFrame(layout.width, layout.height, "yuv420p")
    for plane, source in zip(picture.planes, layout.planes(frame), strict=True):
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        target[:, : plane.width] = source
    return picture


def _deep(frame: DeepFrame, layout: FrameLayout) -> av.VideoFrame:
    picture = av.VideoFrame(layout.width, layout.height, DEEP_FORMAT)
    for plane, source in zip(picture.planes, layout.deep_planes(frame), strict=True):
        target = np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, plane.line_size // 2)
        target[:, : plane.width] = source
    return picture
