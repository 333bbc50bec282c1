"""Which avatar frame and which moment of the sound belong to each frame of the result."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat
from typing import Final, Literal

from app.media.timing import Segment

Loop = Literal["pingpong", "restart"]

FIRST_SEGMENT_SECONDS: Final = (1.0, 2.0, 4.0)
SEGMENT_SECONDS: Final = 10.0
"""A segment is the unit of streaming and of resuming; the first are short, so that playing starts early."""


@dataclass(frozen=True)
class Timeline:
    """Frame by frame: ``fps`` is that of the result, the others are the avatar's or the caller's."""

    frame_count: int
    fps: Fraction
    avatar_frames: int
    avatar_fps: Fraction
    start_frame: int = 0
    loop: Loop = "pingpong"

    def time(self, index: int) -> float:
        """Return the moment of result frame ``index``, seconds."""
        return float(index / self.fps)

    def avatar_frame(self, index: int) -> int:
        """Return the avatar frame on screen at result frame ``index``.

        Played at the avatar's own speed whatever the result's rate. ``pingpong`` runs forward, then backward,
        showing the turning frames once, so that there is no jump; ``restart`` begins again.
        """
        position = self.start_frame + int(index * self.avatar_fps / self.fps)
        if self.loop == "restart" or self.avatar_frames == 1:
            return position % self.avatar_frames
        turn = self.avatar_frames - 1
        phase = position % (2 * turn)
        return phase if phase <= turn else 2 * turn - phase


def split_segments(frame_count: int, fps: Fraction) -> list[Segment]:
    """Divide ``frame_count`` frames into segments: short ones first, then of ten seconds, a rest last."""
    lengths = (
        max(1, round(seconds * fps)) for seconds in chain(FIRST_SEGMENT_SECONDS, repeat(SEGMENT_SECONDS))
    )
    segments: list[Segment] = []
    first = 0
    for index, length in enumerate(lengths):
        count = min(length, frame_count - first)
        segments.append(Segment(index, first, count, last=first + count == frame_count))
        first += count
        if first == frame_count:
            return segments
    return segments
