"""What footage says about a person's mouth: how it rests, talks and looks.

How wide somebody opens cannot be heard, but it can be seen here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.hidden import USUAL_MOST, lips_of
from app.faces.types import FaceLandmarks, runs_of
from app.mouths.covers import without_faint_lips
from app.mouths.lending import Places
from app.mouths.space import Canonical, MouthShapes, Pose, turned_front
from app.mouths.study import Study, frames_of_takes
from app.mouths.talking import lips_part, range_of, talking_stretches
from app.mouths.types import Flags, Numbers

SEEN_RED: Final = 0.2
"""Median red of lips, in percent of the eyes' distance squared, from which they are seen, whatever is marked:
a wide smile that was taken for something before the face had 0.3 to 0.4, a caption over the lips 0."""

LEAST_OPEN: Final = 0.02
"""Share of the frames that are passed over to find how far a mouth closes: meshes tremble."""

QUIET_OPEN: Final = 0.25
"""Share of the resting mouths of somebody who talks that are as far closed as the mouth is in silence."""

ENOUGH_SECONDS, ENOUGH_FRAMES = 1.5, 12
"""How long a take with talk is seen, and in how many frames, that has a resting mouth of its own; shorter
ones share that of all frames: in half a second many a mouth does not close."""

SOFT_SECONDS: Final = 0.11
"""In which a mouth gives way to the frame's own before it cannot be seen any more: three frames at 24 to 30 a
second."""

FACES: Final = 64
"""Frames whose median is the person's face in space."""

ACTIVE_SECONDS: Final = 0.6
ACTIVE_SHARE: Final = 0.25
"""Somebody talks where, within this time, the opening moves by this share of its range or more."""


@dataclass(frozen=True)
class Habits:
    """Mean and deviation of numbers while somebody talks, (k,) each."""

    mean: Numbers
    deviation: Numbers


@dataclass(frozen=True)
class Person:
    """The mouths of one avatar, which :mod:`app.mouths.meeting` meets. Arrays have a row for every frame."""

    study: Study
    fps: float
    seen: Flags
    """Whether a mesh was found, the light lets a mouth be seen, and nothing hides it."""
    usable: Flags
    """Whether the frame may lend its mouth: it is seen, and its lips are neither pressed in nor hidden."""
    silent: Flags
    """Whether no open mouths may be lent to the frame; if the person never talks, all are."""
    pose: Pose
    front: Canonical
    """float64 (n, 67, 3): speech points at the front, not made symmetrical."""
    shapes: MouthShapes
    """From the person's rest."""
    openings: Numbers
    """Above the person's rest, in distances of the inner eyes."""
    rest: Flags
    """Frames whose mouth rests."""
    ajar: Numbers
    """How far lips are parted when the mouth rests, in distances of the inner eyes; 0 where they meet."""

    def __len__(self) -> int:
        return len(self.seen)

    @cached_property
    def talks(self) -> bool:
        """Whether the footage shows this person talking, so that it has mouths to lend."""
        return bool(self._stretches.any())

    @cached_property
    def range(self) -> float:
        """How wide this mouth opens, if it talks: from the 5th to the 95th percentile of the opening then."""
        return range_of(self.openings[self._stretches if self.talks else self.usable])

    @cached_property
    def _stretches(self) -> Flags:
        talking = talking_stretches(self.openings, self.usable, self.study.takes, self.pose, self.fps)
        return talking & lips_part(self.study.apart[talking], self.study.parting[talking])

    @cached_property
    def least(self) -> float:
        """How far this mouth closes beyond its rest, for sounds that need it: 0 or less."""
        if not self.usable.any():
            return 0.0
        return min(0.0, float(np.quantile(self.openings[self.usable], LEAST_OPEN)))

    @cached_property
    def quiet(self) -> float:
        """How far this mouth closes beyond its rest while nobody speaks: 0 or less.

        Who talks throughout the footage hardly rests: what counts as rest there is half on the way to a word.
        """
        resting = self.openings[self.usable & self.rest]
        return min(0.0, float(np.quantile(resting, QUIET_OPEN))) if self.talks and len(resting) else 0.0

    def shut(self, frame: int) -> bool:
        """Whether the mouth of a frame rests, and its lips meet."""
        return bool(self.rest[frame] and not self.ajar[frame])

    @cached_property
    def places(self) -> Places:
        """Where the heads look, and in which light."""
        return Places.of(self.turns, self.study.skin)

    @cached_property
    def talking(self) -> Flags:
        """Frames in which the person talks; a take shows by itself what moves."""
        reach = max(1, round(ACTIVE_SECONDS * self.fps / 2))
        moved, found = np.zeros(len(self)), np.isfinite(self.study.meshes[:, 0, 0])
        for take in frames_of_takes(self.study.takes):
            known = take[found[take]]
            if not len(known):
                continue
            part = slice(known[0], known[-1] + 1)
            openings = np.full((2, part.stop - part.start), np.array([[-np.inf], [np.inf]]))
            openings[:, known - known[0]] = self.openings[known]
            padded = np.pad(openings, ((0, 0), (reach, reach)), mode="edge")
            highest, lowest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
            moved[part] = highest.max(axis=1) - lowest.min(axis=1)
        result: Flags = (moved > ACTIVE_SHARE * self.range) & self.seen
        return result

    @cached_property
    def habits(self) -> Habits:
        """Mean and deviation of the shapes (8) and the opening while the person talks."""
        chosen = self.talking & self.usable
        if chosen.sum() < enough_frames(self.fps):
            chosen = self._stretches if self.talks else self.usable
        numbers = np.column_stack([self.shapes, self.openings])[chosen]
        if not len(numbers):
            return Habits(np.zeros(9), np.zeros(9))
        return Habits(numbers.mean(axis=0), numbers.std(axis=0))

    def weights(self, clip: slice = slice(None)) -> npt.NDArray[np.float32]:
        """Return how much of each frame's mouth may be changed, 0..1: none where it cannot be seen, softly.

        ``clip`` are the frames that are shown: the others have 0, and what cannot be seen there counts for
        nothing. Not beside a cut: a mouth would fade that is there to the end of its shot. And none in a
        sight that is too short to be changed wholly: two mouths would be seen at once in all of it.
        """
        result = np.zeros(len(self), np.float32)
        takes, shots, cuts = self.study.takes[clip], self.study.shots[clip], self.study.cuts[clip]
        seen = self.seen[clip]
        blocked = np.flatnonzero(~seen)
        frames = np.arange(len(seen))
        apart = np.full(len(seen), np.inf)
        if len(blocked):
            place = np.clip(np.searchsorted(blocked, frames), 1, max(len(blocked) - 1, 1))
            before, after = blocked[place - 1], blocked[np.minimum(place, len(blocked) - 1)]
            for other in (before, after):
                lost = (takes[other] < 0) & (shots[other] == shots)
                within = (takes[other] == takes) | lost
                distance = np.where(within, np.abs(frames - other), np.inf)
                apart = np.minimum(apart, distance)
        soft = np.where(seen, np.clip(apart / (soft_frames(self.fps) + 1), 0, 1), 0)
        for start, stop in runs_of(soft > 0):
            for sight in np.split(frames[start:stop], np.flatnonzero(cuts[start:stop])):
                if len(sight) and soft[sight].max() < 1:
                    soft[sight] = 0
        result[clip] = soft
        return result

    @cached_property
    def shows_marked_lips(self) -> bool:
        """Whether lips are marked in most frames although their red is seen: teeth of a smile, say.

        What something hides that is before the face all along does not count.
        """
        lips = self.study.covers.lips[self.seen] - self.study.covers.lips_before
        red = self.study.redness[self.seen]
        return (
            bool(len(lips)) and float(np.nanmedian(lips)) > USUAL_MOST and float(np.median(red)) >= SEEN_RED
        )

    def cover(self, frame: int, landmarks: FaceLandmarks) -> npt.NDArray[np.uint8] | None:
        """Return what lies before the face of a frame, (96, 96), None if nothing does.

        ``landmarks`` are the frame's. Nothing that is marked on lips whose red is seen counts, nor, on lips
        and just beside them, what is marked faintly.
        """
        cover = self.study.covers.of(frame, self.fps)
        if cover is None:
            return None
        lips = lips_of(landmarks)
        if self.shows_marked_lips:
            return np.where(lips > 0, np.uint8(0), cover)
        return without_faint_lips(cover, lips)

    @cached_property
    def face(self) -> Canonical:
        """The face in space, as it usually is: float64 (468, 3), turned to the front."""
        known = np.flatnonzero(self.usable if self.usable.any() else self.seen)
        if not len(known):
            return np.zeros((468, 3))
        some = known[np.linspace(0, len(known) - 1, min(len(known), FACES)).astype(int)]
        pose = Pose(self.pose.mean[some], self.pose.turn[some], self.pose.scale[some])
        usual: Canonical = np.median(turned_front(self.study.meshes[some].astype(np.float64), pose), axis=0)
        return usual

    def turned(self, frame: int) -> Numbers:
        """Return where the usual face lies in a frame by its pose alone, (468, 2), pixels."""
        points = self.face @ self.pose.turn[frame].T / self.pose.scale[frame] + self.pose.mean[frame]
        turned: Numbers = points[:, :2]
        return turned

    @cached_property
    def turns(self) -> Numbers:
        """Where the heads look, (n, 2): degrees to the side and down."""
        ahead = self.pose.turn[:, :, 2]
        return np.degrees(np.arctan2(ahead[:, :2], np.abs(ahead[:, 2:])))


def soft_frames(fps: float) -> int:
    """Return over how many frames of ``fps`` a second a mouth gives way: see :data:`SOFT_SECONDS`."""
    return round(SOFT_SECONDS * fps)


def enough_frames(fps: float) -> int:
    """Return how many frames of ``fps`` a second show how somebody rests: see :data:`ENOUGH_SECONDS`."""
    return max(ENOUGH_FRAMES, round(ENOUGH_SECONDS * fps))
