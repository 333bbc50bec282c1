"""Excerpts of a finished video: some frames in a row from here and there, and the times of its tracks."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
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


@dataclass(frozen=True)
class TrackTimes:
    """When the two tracks of a video begin, and how long they last, seconds."""

    video_start: float
    video_length: float
    audio_start: float
    audio_length: float


def track_times(path: Path) -> TrackTimes:
    """Return the times of the tracks of a video of ours, as its container tells them."""
    with av.open(str(path)) as container:
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

    A key frame there is best. Fewer if the video ends before. A high dynamic range is mapped.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate, base = stream.average_rate, stream.time_base
        if rate is None or base is None:
            return
        start = stream.start_time or 0
        container.seek(start + round(first / rate / base), stream=stream, backward=True)
        numbered = (
            (round((frame.pts - start) * base * rate), frame)
            for frame in treated(container.decode(stream), _MAPPED, Findings())
            if frame.pts is not None
        )
        wanted = ((number, frame) for number, frame in numbered if number >= first)
        for number, frame in islice(wanted, 0, count, every):
            if number >= first + count or (frame.width, frame.height) != (layout.width, layout.height):
                return
            if frame.format.is_rgb:  # a high dynamic range that was mapped
                frame = frame.reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    src_color_range=ColorRange.JPEG,
                    dst_color_range=ColorRange.MPEG,
                )
            planes = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
            yield number, np.ascontiguousarray(planes).reshape(-1)
