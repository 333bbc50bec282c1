"""Video decoding: timestamped pictures in, frames of a constant rate out.

Frame ``i`` is the picture on screen ``i / fps`` seconds after the first one, so a variable frame rate
becomes constant without drift. Only one picture is held at a time.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import repeat
from math import ceil
from pathlib import Path
from typing import Final, TypeVar

import av

from app.media.backdrop import read_backdrop
from app.media.filters import treated
from app.media.findings import Findings
from app.media.frames import FramePieces, I420Frame
from app.media.limits import VideoLimits, check_pixels, check_seconds
from app.media.pictures import PictureReader
from app.media.pixel_aspect import is_other_shape, shape_of
from app.media.probe import VideoInfo, decode_pictures, no_picture, open_video
from app.media.timing import is_other_clock

_EARLY: Final = Fraction(1, 4)
"""A picture is shown up to this part of a frame before its time: clocks in milliseconds and jittery cameras
would otherwise double one frame and drop the next."""

_Frame = TypeVar("_Frame")


def decode_frames(
    path: Path,
    info: VideoInfo,
    limits: VideoLimits,
    findings: Findings | None = None,
    backdrop: Path | None = None,
) -> Iterator[I420Frame]:
    """Decode ``path`` at the constant rate ``info.fps`` to frames of ``info.layout``.

    They are :data:`YuvaFrame` or :data:`DeepFrame` if the treatment keeps transparency or 10 bits.
    ``findings`` learns what was met on the way; ``backdrop`` is the picture that the treatment may have for a
    background. A picture that stays for several frames is the same array
    each time. Damaged packets are skipped. Raises NotAVideo if no picture decodes, MediaTooLong and
    TooManyPixels if the video is more than its header said, UnsupportedMedia if the backdrop is no picture.
    """
    return _shown(path, info, limits, findings or Findings(), backdrop, _reading(info))


def decode_pieces(
    path: Path,
    info: VideoInfo,
    limits: VideoLimits,
    findings: Findings | None = None,
    backdrop: Path | None = None,
) -> Iterator[FramePieces]:
    """Decode as :func:`decode_frames` does, without a copy of what the decoder gives as it is wanted."""
    read = _reading(info)

    def pieces(reader: PictureReader, picture: av.VideoFrame) -> FramePieces:
        return reader.pieces(picture) or (read(reader, picture),)

    return _shown(path, info, limits, findings or Findings(), backdrop, pieces)


def _reading(info: VideoInfo) -> Callable[[PictureReader, av.VideoFrame], I420Frame]:
    """Return what makes frames of the kind that is asked for."""
    if info.treatment.deep:
        return PictureReader.read_deep
    return PictureReader.read_transparent if info.treatment.transparent else PictureReader.read


def _shown(
    path: Path,
    info: VideoInfo,
    limits: VideoLimits,
    findings: Findings,
    backdrop: Path | None,
    read: Callable[[PictureReader, av.VideoFrame], _Frame],
) -> Iterator[_Frame]:
    """Yield what is made of the picture that each frame shows."""
    behind = read_backdrop(backdrop, limits, info.layout) if backdrop else []
    reader = PictureReader(info.form, info.treatment, findings, behind)
    held: av.VideoFrame | None = None
    shown = 0
    end = Fraction(0)
    for picture, start, stop in _timed_pictures(path, info, limits, findings):
        due = ceil(start * info.fps - _EARLY)
        if held is not None:
            findings.left_out += due <= shown
            findings.repeated += due > shown + 1
        findings.pictures += 1
        if held is not None and due > shown:
            yield from repeat(read(reader, held), due - shown)
            shown = due
        held, end = picture, stop
    if held is None:
        raise no_picture(limits)
    yield from repeat(read(reader, held), max(1, round(end * info.fps)) - shown)


def _timed_pictures(
    path: Path, info: VideoInfo, limits: VideoLimits, findings: Findings
) -> Iterator[tuple[av.VideoFrame, Fraction, Fraction]]:
    """Yield each picture with the times, in seconds after the first one, at which it appears and goes.

    Where the file's clock jumps back, or in a broadcast far ahead, as in two recordings joined, it is taken
    to go on.
    """
    origin: Fraction | None = None
    first: Fraction | None = None
    start = end = Fraction(0)
    with open_video(path, limits) as (container, stream):
        stream_base = stream.time_base or Fraction(1, av.time_base)
        for picture in treated(decode_pictures(container, stream), info.treatment, findings):
            time_base = picture.time_base or stream_base  # a filter may count in another unit
            check_pixels(picture.width, picture.height, limits)
            aspect = stream.codec_context.sample_aspect_ratio or Fraction(1)
            shape = shape_of(picture.width, picture.height, aspect)
            first = first or shape
            findings.stretched += is_other_shape(shape, first)
            time = None if picture.pts is None else picture.pts * time_base
            if time is None:
                start = end
            elif (
                origin is None
                or time - origin < start
                or is_other_clock(time - origin - end, container.format.name)
            ):
                origin, start = time - end, end
            else:
                start = time - origin
            end = start + (picture.duration * time_base or 1 / info.fps)
            check_seconds(end - 1 / info.fps, limits.max_seconds, "video")
            yield picture, start, end
