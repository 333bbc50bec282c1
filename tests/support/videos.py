"""Looking at finished MP4s."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from app.media.frames import I420Frame


@dataclass(frozen=True)
class Decoded:
    """An MP4 decoded to its end; times in seconds from the start of the presentation.

    The sound ends where the file's edit list says: the last AAC packet of 1024 samples is padded.
    """

    frames: list[I420Frame]
    video_end: Fraction
    sound_end: Fraction


def decode(path: Path) -> Decoded:
    """Decode all of an MP4 whose frames are yuv420p of even size."""
    frames: list[I420Frame] = []
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        video_end, sound_end = Fraction(0), _duration(sound)
        for frame in container.decode(video):
            assert frame.pts is not None
            assert frame.time_base is not None
            assert frame.format.name == "yuv420p"
            frames.append(frame.to_ndarray().reshape(-1).astype(np.uint8, copy=False))
            video_end = frame.pts * frame.time_base + 1 / Fraction(video.average_rate or 25)
    return Decoded(frames, video_end, sound_end)


def _duration(stream: av.AudioStream) -> Fraction:
    """Return the length of a stream, seconds; 0 where the file does not say, as in a fragmented one."""
    return Fraction(stream.duration or 0) * (stream.time_base or 0)
