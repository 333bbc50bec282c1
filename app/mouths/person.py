"""What footage says about a person's mouth: how it rests, talks and looks.

How wide somebody opens cannot be heard, but it can be seen here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.hidden import USUAL_MOST, alignment, in_crop, lips_ellipse
from app.faces.types import FaceLandmarks
from app.mouths.space import Canonical, MouthShapes, Pose, turned_front
from app.mouths.study import Study

Flags = npt.NDArray[np.bool_]
"""bool (n,): one for every frame."""

Numbers = npt.NDArray[np.float64]
"""float64 (n,) or (n, k): numbers of every frame."""

SEEN_RED: Final = 0.2
"""Median red of lips, in percent of the eyes' distance squared, from which they are seen, whatever is marked:
a wide smile that was taken for something before the face had 0.3 to 0.4, a caption over the lips 0."""

LEAST_OPEN: Final = 0.02
"""Share of the frames that are passed over to find how far a mouth closes: meshes tremble."""

ENOUGH_SECONDS, ENOUGH_FRAMES = 1.5, 12
"""How long a take is seen, and in how many frames, that has a resting mouth of its own; shorter ones share
that of all frames: in half a second many a mouth does not close."""

SOFT_SECONDS: Final = 0.11
"""In which a mouth gives way to the frame's own before it cannot be seen any more: three frames at 24 to 30 a
second."""

FACES: Final = 64
"""Frames whose median is the person's face in space."""

ACTIVE_SECONDS: Final = 0.6
ACTIVE_SHARE: Final = 0.25
"""Somebody talks where, within this time, the opening moves by this share of its range or more. A take whose
mouths open less has none that may be lent for open ones."""

LIVELY_SECONDS: Final = 0.6
LEAST_LIVELY: Final = 0.010
"""Deviation of the opening, in distances of the inner eyes, from its own mean over that time, from which
somebody is seen talking. Six people filmed with a shut mouth have 0.0035 to 0.0048, of 16 who talk the least
has 0.0136; by the range of the opening alone, heads that come nearer pass for talkers."""

TURNING_SECONDS, TURN_SHARE, LEAST_TURNS = 2.5, 0.2, 3
"""Within this time the opening of somebody who talks turns so often, by that share of its range: a smile that
comes and goes turns twice. Of 33 clips of people who talk the one that turns the least does so five times."""

FEW_FRAMES: Final = 3 * LEAST_TURNS
"""Fewer frames do not show how often a mouth turns: a clip of a blink, or one of 3 frames a second."""

LARGE, MOST_TREMBLING = 60.0, 1.5
"""Distance of the inner eyes, pixels, from which a mesh trembles no more for being small, and how much more
it may below: of a shut mouth in interlaced footage, 41 pixels, the opening deviates by 0.0133; of 30 clips of
people of 28 to 50 pixels who talk, the least has 0.0199."""


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
    def range(self) -> float:
        """How wide this mouth opens: from the 5th to the 95th percentile of the opening."""
        if not self.usable.any():
            return 0.0
        low, high = np.quantile(self.openings[self.usable], [0.05, 0.95])
        return float(high - low)

    @cached_property
    def least(self) -> float:
        """How far this mouth closes beyond its rest, for sounds that need it: 0 or less."""
        if not self.usable.any():
            return 0.0
        return min(0.0, float(np.quantile(self.openings[self.usable], LEAST_OPEN)))

    def shut(self, frame: int) -> bool:
        """Whether the mouth of a frame rests, and its lips meet."""
        return bool(self.rest[frame] and not self.ajar[frame])

    @cached_property
    def talks(self) -> bool:
        """Whether the footage shows this person talking, so that it has mouths to lend."""
        if not self.usable.any():
            return False
        reach = max(1, round(LIVELY_SECONDS * self.fps / 2))
        padded = np.pad(self.openings, reach, mode="edge")
        slow = np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")
        size = float(np.median(1 / self.pose.scale[self.usable]))
        least = LEAST_LIVELY * min(max(1.0, LARGE / size), MOST_TREMBLING)
        return float((self.openings - slow)[self.usable].std()) >= least and self._opens_and_shuts()

    def _opens_and_shuts(self) -> bool:
        """Tell whether the opening turns as often as speech has it, if for :data:`TURNING_SECONDS` alone."""
        openings = self.openings[self.seen]
        turned = _turns(openings, TURN_SHARE * self.range)
        window = min(round(TURNING_SECONDS * self.fps), len(openings))
        if window < FEW_FRAMES:
            return True
        most = np.convolve(turned, np.ones(window), mode="valid").max()
        return float(most) >= LEAST_TURNS * min(1.0, window / (TURNING_SECONDS * self.fps))

    @cached_property
    def silent(self) -> Flags:
        """Frames of takes that have no open mouth to lend; if the person never talks, all."""
        silent = np.full(len(self), not self.talks)
        for take in np.unique(self.study.takes[self.study.takes >= 0]) if self.talks else ():
            own = self.study.takes == take
            lending = self.openings[own & self.usable]
            if len(lending) and float(np.quantile(lending, 0.95)) < ACTIVE_SHARE * self.range:
                silent |= own
        return silent

    @cached_property
    def talking(self) -> Flags:
        """Frames in which the person talks."""
        reach = max(1, round(ACTIVE_SECONDS * self.fps / 2))
        padded = np.pad(self.openings, reach, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
        active = np.ptp(windows, axis=1) > ACTIVE_SHARE * self.range
        result: Flags = active & self.seen
        return result

    @cached_property
    def habits(self) -> Habits:
        """Mean and deviation of the shapes (8) and the opening while the person talks."""
        chosen = self.talking & self.usable
        if chosen.sum() < enough_frames(self.fps):
            chosen = self.usable
        numbers = np.column_stack([self.shapes, self.openings])[chosen]
        if not len(numbers):
            return Habits(np.zeros(9), np.zeros(9))
        return Habits(numbers.mean(axis=0), numbers.std(axis=0))

    @cached_property
    def weights(self) -> npt.NDArray[np.float32]:
        """How much of each frame's mouth may be changed, 0..1: none where it cannot be seen, softly.

        Not beside a cut: a mouth would fade that is there to the end of its shot.
        """
        takes, shots = self.study.takes, np.cumsum(self.study.cuts)
        blocked = np.flatnonzero(~self.seen)
        frames = np.arange(len(self))
        apart = np.full(len(self), np.inf)
        if len(blocked):
            place = np.clip(np.searchsorted(blocked, frames), 1, max(len(blocked) - 1, 1))
            before, after = blocked[place - 1], blocked[np.minimum(place, len(blocked) - 1)]
            for other in (before, after):
                lost = (takes[other] < 0) & (shots[other] == shots)
                within = (takes[other] == takes) | lost
                distance = np.where(within, np.abs(frames - other), np.inf)
                apart = np.minimum(apart, distance)
        soft = np.where(self.seen, np.clip(apart / (soft_frames(self.fps) + 1), 0, 1), 0)
        return soft.astype(np.float32)

    @cached_property
    def shows_marked_lips(self) -> bool:
        """Whether lips are marked in most frames although their red is seen: teeth of a smile, say."""
        lips = self.study.covers.lips[self.seen]
        red = self.study.redness[self.seen]
        return (
            bool(len(lips)) and float(np.nanmedian(lips)) > USUAL_MOST and float(np.median(red)) >= SEEN_RED
        )

    def cover(self, frame: int, landmarks: FaceLandmarks) -> npt.NDArray[np.uint8] | None:
        """Return what lies before the face of a frame, (96, 96), None if nothing does.

        ``landmarks`` are the frame's. Nothing that is marked on lips whose red is seen counts.
        """
        cover = self.study.covers.of(frame, self.fps)
        if cover is None or not self.shows_marked_lips:
            return cover
        lips = lips_ellipse(in_crop(alignment(landmarks), landmarks))
        beside: npt.NDArray[np.uint8] = np.where(lips > 0, 0, cover).astype(np.uint8)
        return beside

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


def _turns(numbers: Numbers, least: float) -> Flags:
    """Return where numbers have gone by ``least`` the other way since their last high or low."""
    turned, direction = np.zeros(len(numbers), np.bool_), 0
    high = low = numbers[0]
    for index, number in enumerate(numbers.tolist()):
        high, low = max(high, number), min(low, number)
        if direction >= 0 and high - number > least:
            turned[index], direction, low = True, -1, number
        elif direction <= 0 and number - low > least:
            turned[index], direction, high = True, 1, number
    return turned
