"""Channels that FFmpeg cannot mix are taken by their number, as those are that a file does not place.

It mixes loudspeakers around a listener: not nine channels without places, not two that stand behind or on one
side, nor ambisonics.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import av
import numpy as np
from av.audio.plane import AudioPlane
from av.error import FFmpegError

_MOST_PLACED: Final = 8
"""So many channels have places by their number: 7.1."""
_AMBISONIC: Final = "ambisonic"
"""Its first channel is what an omnidirectional microphone hears."""


def with_places(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Yield frames whose channels can be mixed: of the others the first eight, of ambisonics the first."""
    layout, can_be_mixed = "", True
    for frame in frames:
        if layout != frame.layout.name:
            layout, can_be_mixed = frame.layout.name, _can_be_mixed(frame)
        yield frame if can_be_mixed else _first_channels(frame)


def _can_be_mixed(frame: av.AudioFrame) -> bool:
    try:
        av.AudioResampler(frame.format.name, "mono", frame.sample_rate).resample(frame)
    except FFmpegError:
        return False
    return True


def _first_channels(frame: av.AudioFrame) -> av.AudioFrame:
    kept = 1 if frame.layout.name.startswith(_AMBISONIC) else min(frame.layout.nb_channels, _MOST_PLACED)
    first = av.AudioFrame(frame.format.name, f"{kept} channels", frame.samples)
    first.sample_rate, first.pts, first.time_base = frame.sample_rate, frame.pts, frame.time_base
    together, kept_together = (1, 1) if frame.format.is_planar else (frame.layout.nb_channels, kept)
    sample = np.dtype((np.void, frame.format.bytes))
    for coded, plane in zip(planes_of(frame), planes_of(first), strict=False):
        samples = np.frombuffer(memoryview(coded), sample, frame.samples * together).reshape(-1, together)
        plane.update(samples[:, :kept_together].tobytes().ljust(plane.buffer_size, b"\0"))
    return first


def planes_of(frame: av.AudioFrame) -> Sequence[AudioPlane]:
    """Return the planes of a frame: for eight channels or more, ``AudioFrame.planes`` makes others up."""
    return frame.planes[: frame.layout.nb_channels if frame.format.is_planar else 1]
