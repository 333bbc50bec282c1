"""Excerpts of a finished video: some frames in a row from here and there, and the times of its tracks."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from app.media.filters import treated
from app.media.findings import Findings
from app.media.frames import FrameLayout, I420Frame
from app.media.treatment import Treatment

_MAPPED: Final = Treatment(tone_map=True)
_MICROSECOND: Final = Fraction(1, 1_000_000)
_LENGTH_BYTES: Final = 4
"""Of each unit's length, in front of it: so FFmpeg writes H.264 into an MP4."""
_SLICES: Final = (1, 5)
"""Types of the units that hold a picture: one that others may precede, and one after which decoding begins
anew (ITU-T H.264, table 7-1)."""


@dataclass(frozen=True)
class TrackTimes:
    """When the two tracks of a video begin, and how long they last, seconds."""

    video_start: float
    video_length: float
    audio_start: float
    audio_length: float


def track_times(path: Path) -> TrackTimes:
    """Return the times of the tracks of a video of ours, as its container tells them."""
    with av.open(str(path), options={"codec_whitelist": "none"}) as container:  # nothing need be decoded
        video, audio = container.streams.video[0], container.streams.audio[0]
        whole = float((container.duration or 0) * _MICROSECOND)
        starts, lengths = [], []
        for stream in (video, audio):
            base = stream.time_base or _MICROSECOND
            starts.append(float((stream.start_time or 0) * base))
            lengths.append(float(stream.duration * base) if stream.duration else whole)
        return TrackTimes(starts[0], lengths[0], starts[1], lengths[1])


def read_frames(
    path: Path, layout: FrameLayout, first: int, count: int, every: int = 1
) -> Iterator[tuple[int, I420Frame]]:
    """Yield ``every`` so many of ``count`` frames of a video of ours, from number ``first`` on.

    A key frame there is best. Fewer if the video ends before. A high dynamic range is mapped, and a limited
    range made full if ``layout`` is: ProRes knows no other. Frames in between to which no other refers are
    not decoded.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate, base = stream.average_rate, stream.time_base
        if rate is None or base is None:
            return
        start = stream.start_time or 0
        container.seek(start + round(first / rate / base), stream=stream, backward=True)
        wanted = range(first, first + count, every)

        def number(of: "av.VideoFrame | av.Packet[av.VideoStream]") -> int | None:
            return None if of.pts is None else round((of.pts - start) * base * rate)

        pictures = chain.from_iterable(
            packet.decode()
            for packet in container.demux(stream)
            if number(packet) in wanted or not is_aside(packet)
        )
        for frame in treated(pictures, _MAPPED, Findings()):
            shown = number(frame)
            if shown is None or shown not in wanted:
                continue
            if (frame.width, frame.height) != (layout.width, layout.height):
                return
            full = layout.color.range == "full"
            if frame.format.is_rgb:  # a high dynamic range that was mapped
                frame = frame.reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    src_color_range=ColorRange.JPEG,
                    dst_color_range=ColorRange.MPEG,
                )
            elif full and frame.color_range != ColorRange.JPEG:
                frame = frame.reformat(
                    format="yuv420p", src_color_range=ColorRange.MPEG, dst_color_range=ColorRange.JPEG
                )
            planes = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
            yield shown, np.ascontiguousarray(planes).reshape(-1)
            if shown == wanted[-1]:
                return


def is_aside(packet: "av.Packet[av.VideoStream]") -> bool:
    """Return whether no other picture of an H.264 video of ours refers to the one in a packet.

    Its ``nal_ref_idc`` is 0 then (ITU-T H.264, 7.4.1), in the unit of its first slice.
    """
    if packet.stream.codec_context is None or packet.stream.codec_context.name != "h264":
        return False
    data = memoryview(packet)
    at = 0
    while at + _LENGTH_BYTES < len(data):
        unit = data[at + _LENGTH_BYTES]
        if unit & 31 in _SLICES:
            return unit >> 5 & 3 == 0
        at += _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
    return False
