"""Which avatar frame and which moment of the audio belong to each frame of the result."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import chain, repeat
from math import ceil, floor
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequest
from app.media.mixing import Span
from app.media.timing import LEAST_SHARE_SECONDS, LONG_SECONDS, Segment, exact_fps, frame_count
from app.mouths.person import soft_frames
from app.rendering.options import RenderOptions, read_ranges

MouthWeights = npt.NDArray[np.float32]
"""float32 (n,), 0..1: how much of each frame's mouth is changed."""

Loop = Literal["pingpong", "restart", "hold", "stretch"]

FIRST_SEGMENT_SECONDS: Final = (1.0, 2.0, 4.0)
SEGMENT_SECONDS: Final = 10.0
"""A segment is the unit of streaming and of resuming; the first are short, so that playing starts early."""
END_SECONDS: Final = 20.0
"""Those in the last seconds of a long render are short too, however many workers there are: where several
share it (``app/jobs/open_job.py``), all of them have something to do until its end."""

LEAST_HEARD_AGAIN: Final = Fraction(1, 2)
"""Seconds of a clip's own sound, at least, that begin again with it: joins that come sooner are a tone."""


@dataclass(frozen=True)
class Timeline:
    """Frame by frame: ``fps`` is that of the result; the clip is what is used of the avatar's video."""

    frame_count: int
    fps: Fraction
    clip_frames: int
    clip_fps: Fraction
    start_frame: int = 0
    loop: Loop = "pingpong"
    clip_begin: int = 0
    """The avatar's frame with which the clip begins."""
    kept: tuple[range, ...] = ()
    """Frames of the result whose mouth stays the clip's own, in order."""
    duration: float | Fraction = 0
    """Length of the result, seconds."""
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", tuple(frames.start for frames in self.kept))

    @property
    def clip(self) -> slice:
        """The avatar's frames that are used."""
        return slice(self.clip_begin, self.clip_begin + self.clip_frames)

    @property
    def clip_seconds(self) -> Fraction:
        """How long the clip is from the frame with which the result begins to its end."""
        return (
            self.clip_frames - _first_shown(self.loop, self.start_frame, self.clip_frames)
        ) / self.clip_fps

    def time(self, index: int) -> float:
        """Return the moment of result frame ``index``, seconds."""
        return float(index / self.fps)

    def avatar_frame(self, index: int) -> int:
        """Return the avatar frame on screen at result frame ``index``.

        Played at the clip's own speed whatever the result's rate. ``pingpong`` runs forward, then backward,
        showing the turning frames once, so that there is no jump; ``restart`` begins again; ``hold`` stays at
        the last frame. ``stretch`` spreads the clip, from its start frame on, over the whole result.
        """
        return self.clip_begin + self._clip_frame(index)

    def _clip_frame(self, index: int) -> int:
        if self.loop == "stretch":
            begin = self.start_frame % self.clip_frames
            shown = min(index, self.frame_count - 1)
            return begin + (2 * shown + 1) * (self.clip_frames - begin) // (2 * self.frame_count)
        elapsed = self._elapsed(index)
        if self.loop == "hold":
            return min(self.start_frame % self.clip_frames + elapsed, self.clip_frames - 1)
        position = self.start_frame + elapsed
        if self.loop == "restart":
            return position % self.clip_frames
        return _bounced(position, self.clip_frames)[0]

    def _elapsed(self, index: int) -> int:
        """Return how many of the clip's frames pass at its own speed before result frame ``index``."""
        passing = self._passing
        return index * passing.numerator // passing.denominator

    @cached_property
    def _passing(self) -> Fraction:
        """How many of the clip's frames pass in one of the result's."""
        return self.clip_fps / self.fps

    def steps(self, indices: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return by how many frames the clip's own time moves on between result frames, (n - 1,).

        Whatever is shown: a clip that is held or stretched shows other frames than these pass.
        """
        return np.diff([self._elapsed(index) for index in indices])

    def own_sound(self) -> Iterator[Span]:
        """Yield where the video's own sound comes from, stretch by stretch, for all of the result.

        It is never played backward: whenever the clip turns or begins again, so does the sound begin again. A
        clip that is held or stretched is heard once, at its own speed, and so is one that is so short that
        it would buzz (:data:`LEAST_HEARD_AGAIN`).
        """
        left = Fraction(self.duration)
        begin = self._first_heard()
        again = int(self.loop == "pingpong")  # the frame on which the clip turns is shown once
        heard_again = (self.clip_frames - again) / self.clip_fps >= LEAST_HEARD_AGAIN
        while left > 0 and begin < self.clip_frames:
            seconds = min(left, (self.clip_frames - begin) / self.clip_fps)
            yield Span(seconds, (self.clip_begin + begin) / self.clip_fps)
            left -= seconds
            begin = again if heard_again and self.loop in ("pingpong", "restart") else self.clip_frames
        if left > 0:
            yield Span(left, None)

    def _first_heard(self) -> int:
        """Return the frame of the clip with whose moment its sound begins."""
        if self.loop != "pingpong":
            return self.start_frame % self.clip_frames
        shown, forward = _bounced(self.start_frame, self.clip_frames)
        return shown if forward else self.clip_frames - 1 - shown

    def mouth_weights(self, indices: Sequence[int]) -> MouthWeights:
        """Return how much of the mouth is changed at result frames ``indices``.

        0 where the clip's own is kept, and less than 1 in the few frames beside.
        """
        return np.array([self._mouth_weight(index) for index in indices], np.float32)

    def _mouth_weight(self, index: int) -> float:
        after = bisect_right(self._starts, index)
        apart = [self.kept[after].start - index] if after < len(self.kept) else []
        if after:
            apart.append(max(0, index - self.kept[after - 1].stop + 1))
        return min(1.0, min(apart) / (soft_frames(float(self.fps)) + 1)) if apart else 1.0


def lay_out(
    options: RenderOptions, avatar_frames: int, avatar_fps: Fraction, sound_seconds: float, last_word: float
) -> Timeline:
    """Return the timeline of a render of an avatar and a sound, whose ``last_word`` ends at so many seconds.

    A start frame beyond the clip counts on through its loop. If the length is the video's, the clip is played
    from the frame that is shown there to its end. Raises InvalidRequest for times that lie outside of the
    clip or of the result.
    """
    fps = exact_fps(options.fps) if options.fps else avatar_fps
    begin, frames = _clip(options, avatar_frames, avatar_fps)
    duration: float | Fraction = sound_seconds
    loop, start = options.loop, options.start_frame
    if options.length != "audio" and avatar_frames > 1:
        shown = _first_shown(loop, start, frames)
        clip = (frames - shown) / avatar_fps
        either: list[float | Fraction] = [clip, sound_seconds]
        duration = {"video": clip, "shortest": min(either), "longest": max(either)}[options.length]
        if duration <= clip and loop in ("pingpong", "restart"):
            loop, start = "hold", shown  # not played on: it need only not begin again for a rounded frame
    count = frame_count(duration, fps)
    return Timeline(
        frame_count=count,
        fps=fps,
        clip_frames=frames,
        clip_fps=avatar_fps,
        start_frame=start,
        loop=loop,
        clip_begin=begin,
        kept=_kept(options, count, fps, float(duration), last_word),
        duration=duration,
    )


def _first_shown(loop: Loop, start: int, frames: int) -> int:
    """Return the frame of a clip that is on screen first."""
    return _bounced(start, frames)[0] if loop == "pingpong" else start % frames


def _bounced(position: int, frames: int) -> tuple[int, bool]:
    """Return which frame a clip shows that is played to and fro, and whether it came forward to it."""
    turn = max(frames - 1, 1)
    phase = position % (2 * turn)
    return (phase % frames, True) if phase <= turn else (2 * turn - phase, False)


def _clip(options: RenderOptions, avatar_frames: int, avatar_fps: Fraction) -> tuple[int, int]:
    """Return the first frame that is used of an avatar's video, and how many are."""
    seconds = float(avatar_frames / avatar_fps)
    begin = min(round(options.start * avatar_fps), avatar_frames - 1)
    end = avatar_frames if options.end is None else round(options.end * avatar_fps)
    if _exact(options.start) * avatar_fps >= avatar_frames:
        raise InvalidRequest(f"start: {options.start:g} s lies beyond the clip, which lasts {seconds:.2f} s.")
    if end > avatar_frames + 1:
        raise InvalidRequest(f"end: {options.end:g} s lies beyond the clip, which lasts {seconds:.2f} s.")
    end = min(end, avatar_frames)
    if end <= begin:
        raise InvalidRequest(
            "start and end: there is no frame of the clip between them; move them further apart."
        )
    return begin, end - begin


def _kept(
    options: RenderOptions, count: int, fps: Fraction, duration: float, last_word: float
) -> tuple[range, ...]:
    """Return the frames that are on screen while the clip's own mouth is to be kept."""
    ranges = read_ranges(options.keep)
    if ranges and ranges[-1][1] > duration + float(1 / fps):
        start, end = ranges[-1]
        raise InvalidRequest(
            f"keep: the range {start:g}-{end:g} lies beyond the end of the result, which lasts "
            f"{duration:.2f} s."
        )
    if options.rest == "own" and last_word < duration:
        ranges = [*ranges, (last_word, duration + 1)]
    exact = [(_exact(start) * fps, _exact(end) * fps) for start, end in sorted(ranges)]
    frames = [range(floor(start), min(ceil(end), count)) for start, end in exact]
    return _joined([each for each in frames if each])


def _exact(seconds: float) -> Fraction:
    """Return the decimal fraction that was meant: 0.28 times 25 is 7."""
    return Fraction(seconds).limit_denominator(10**6)


def _joined(ranges: list[range]) -> tuple[range, ...]:
    """Return sorted ranges without overlaps."""
    joined: list[range] = []
    for each in ranges:
        before = joined.pop() if joined and each.start <= joined[-1].stop else each
        joined.append(range(before.start, max(before.stop, each.stop)))
    return tuple(joined)


def split_segments(frame_count: int, fps: Fraction) -> list[Segment]:
    """Divide ``frame_count`` frames into segments: short ones first, then of ten seconds, a rest last.

    Towards the end of a long render they are short again.
    """
    lengths = chain(FIRST_SEGMENT_SECONDS, repeat(SEGMENT_SECONDS))
    long = frame_count > LONG_SECONDS * fps
    segments: list[Segment] = []
    first = 0
    while (left := frame_count - first) > 0:
        seconds = next(lengths)
        if long and left < (SEGMENT_SECONDS + END_SECONDS) * fps:
            seconds = min(seconds, LEAST_SHARE_SECONDS)
        count = min(max(1, round(seconds * fps)), left)
        segments.append(Segment(len(segments), first, count, last=count == left))
        first += count
    return segments
