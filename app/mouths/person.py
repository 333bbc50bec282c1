"""What footage says about a person's mouth: how it rests, talks and looks.

A person's zero is how their mouth usually rests, not the most closed mouth of the footage, which is often a
pout or pressed lips. How wide somebody opens cannot be heard, but it can be seen here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.head import RIGID_POINTS
from app.faces.hidden import USUAL_MOST, alignment, hidden_mouths, in_crop, lips_ellipse
from app.faces.types import FaceLandmarks
from app.mouths.points import SPEECH_POINTS
from app.mouths.space import (
    MOST_TEETH,
    TEETH_UNITS,
    Canonical,
    MouthShapes,
    Pose,
    align,
    opening_of,
    shape_space,
    symmetrical,
    turned_front,
)
from app.mouths.study import Study

Flags = npt.NDArray[np.bool_]
"""bool (n,): one for every frame."""

Numbers = npt.NDArray[np.float64]
"""float64 (n,) or (n, k): numbers of every frame."""

SEEN_RED: Final = 0.2
"""Median red of lips, in percent of the eyes' distance squared, from which they are seen, whatever is marked:
a wide smile that was taken for something before the face had 0.3 to 0.4, a caption over the lips 0."""

REST_SHARE: Final = 0.2
"""A mouth rests if it opens no further than this share of the way from the 5th to the 95th percentile."""

LEAST_OPEN: Final = 0.02
"""Share of the frames that are passed over to find how far a mouth closes: meshes tremble."""

PALE: Final = 0.7
"""Lips that show less than this share of the red that the person's usually show are pressed in: seen on a
woman with lipstick, 0.41 where pressed."""

RED: Final = 0.4
"""Median red of lips, in percent of the eyes' distance squared, from which their red tells anything: where
skin is dark or the picture has little colour it is mostly noise."""

SHUT, MOST_SHUT = 0.05, 0.12
"""Opening that a mesh gives to lips that meet, in distances of the inner eyes, usually and at most: of 20
people whose lips were the least open it gives 15 less than 0.1, and full ones 0.11."""

LEAST_PARTED, SEEN_PARTED = 0.08, 3.7
"""Opening from which lips are parted nevertheless if that much is seen between them, by
:func:`app.mouths.looks.parting`: of 16 faces with such openings below 0.12, six whose teeth show have 4.0 to
5.0, eight whose lips hardly part less than 3.7, two in profile 3.9 and 4.6."""

OWN_TAKE: Final = 12
"""Frames from which a take has a resting mouth of its own; shorter ones share that of all frames."""

DARKEST, BRIGHTEST = 28.0, 246.0
"""Brightness of the cheeks, 0..255, beyond which a frame is too dark or too bright to show a mouth."""

MOST_COVERED, LEAST_FREE = 0.12, 0.15
"""Share of the lips that may be hidden, beyond what is usual, in a frame that lends its mouth; and share of
the frames that must remain: where less is free, every mouth that is seen may be lent."""

MOST_FACE_COVERED, LIPS_SHARE = 0.045, 0.22
"""Share of the lower face beside the lips that may be hidden in a frame that lends, under the same condition:
a hand there would be lent with the mouth; of 48 clips of talkers, 88 % of the frames have less. And the share
of the lower face that the lips take; what is marked on them, beyond what is usual, may be teeth."""

SOFT_SECONDS: Final = 0.11
"""In which a mouth gives way to the frame's own before it cannot be seen any more: three frames at 24 to 30 a
second."""

_FRAMES_AT_ONCE: Final = 1024
"""Frames whose heads are turned to the front together: that takes many times their memory."""

FACES: Final = 64
"""Frames whose median is the person's face in space."""

ACTIVE_SECONDS: Final = 0.6
ACTIVE_SHARE: Final = 0.25
"""Somebody talks where, within this time, the opening moves by this share of its range or more. A take whose
mouths open less has none that may be lent for open ones."""

STILLER: Final = 4
"""How often the tremor is taken off mouths that do not talk, for it is all that moves there: they are bent by
what their shape lacks, and would be by what it trembles."""

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
    """The mouths of one avatar. All arrays have a row for every frame; see :func:`meet`."""

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
        if chosen.sum() < OWN_TAKE:
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
        cover = self.study.covers.of(frame)
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


def meet(study: Study, fps: float) -> Person:
    """Make of measurements the person they are of."""
    found: Flags = np.isfinite(study.meshes[:, 0, 0])
    pose, front = _posed(study, found)
    person = _measured(study, fps, found, pose, front)
    silent = person.silent
    if not silent.any():
        return person
    stiller = np.empty_like(front)
    for _ in range(STILLER):
        for part in _parts(len(front)):
            stiller[part] = _steady(front, part, study.takes, found)
        np.copyto(front, stiller, where=silent[:, None, None])
    del stiller
    return _measured(study, fps, found, pose, front)


def _measured(study: Study, fps: float, found: Flags, pose: Pose, front: Canonical) -> Person:
    space = shape_space()
    flat, opening = np.empty((len(front), 2 * front.shape[1])), np.empty(len(front))
    for part in _parts(len(front)):
        even = symmetrical(front[part])
        flat[part], opening[part] = even[:, :, :2].reshape(len(even), -1), opening_of(even)
    brightness = study.skin.mean(axis=1)
    seen: Flags = found & (brightness > DARKEST) & (brightness < BRIGHTEST)
    seen &= ~_hidden(study, found)
    lips = np.nan_to_num(study.covers.lips)
    more = np.maximum(lips - float(np.median(lips[seen])), 0) if seen.any() else lips
    free = seen & (more < MOST_COVERED)
    free = free if free.sum() >= LEAST_FREE * seen.sum() else seen
    clean = free & (study.covers.face - LIPS_SHARE * more < MOST_FACE_COVERED)
    free = clean if clean.sum() >= LEAST_FREE * seen.sum() else free
    teeth = study.teeth / np.array(TEETH_UNITS)
    shapes = np.zeros((len(study), 8), np.float32)
    openings, ajar = np.zeros((2, len(study)))
    rest, usable = np.zeros(len(study), np.bool_), free.copy()
    for take, pool in _pools(study.takes, free):
        usable[take] &= ~_pressed(study.redness, pool)[take]
        among = pool & usable if (pool & usable).any() else pool
        resting = _resting(opening, among)
        zero = np.median(flat[resting], axis=0)
        apart = flat[take]
        apart -= zero
        components = apart @ space.basis.T
        more = np.clip(teeth[take] - np.median(teeth[resting], axis=0), -MOST_TEETH, MOST_TEETH)
        shapes[take] = np.column_stack([components, more])
        parted = float(np.median(opening[resting]))
        openings[take] = opening[take] - parted
        seen_parted = float(np.median(study.parting[resting])) >= SEEN_PARTED
        ajar[take] = 0.0 if parted < (LEAST_PARTED if seen_parted else MOST_SHUT) else parted - SHUT
        rest |= take & resting
    return Person(study, fps, seen, usable, pose, front, shapes, openings, rest, ajar)


def _posed(study: Study, found: Flags) -> tuple[Pose, Canonical]:
    """Return how each head is turned, and its speech points at the front.

    Where no mesh was found another one stands, the mean face if there is none, so that its pose is defined.
    """
    takes, space = study.takes, shape_space()
    first = slice(int(found.argmax()), int(found.argmax()) + 1)
    rigid_there, speech_there = (
        _steady(study.meshes, first, takes, found, points) for points in (RIGID_POINTS, SPEECH_POINTS)
    )
    if not found.any():
        rigid_there = space.front[None]
    count = len(found)
    pose = Pose(np.empty((count, 1, 3)), np.empty((count, 3, 3)), np.empty(count))
    front = np.empty((count, len(SPEECH_POINTS), 3))
    for part in _parts(count):
        rigid = _steady(study.meshes, part, takes, found, RIGID_POINTS)
        speech = _steady(study.meshes, part, takes, found, SPEECH_POINTS)
        rigid[~found[part]], speech[~found[part]] = rigid_there, speech_there
        turned = align(rigid, space.front)
        pose.mean[part], pose.turn[part], pose.scale[part] = turned.mean, turned.turn, turned.scale
        front[part] = turned_front(speech, turned)
    return pose, front


def _hidden(study: Study, found: Flags) -> Flags:
    """Tell which mouths are hidden; what is marked in most frames is usual if red of lips is seen in them."""
    lips = study.covers.lips
    if found.any() and float(np.median(study.redness[found])) >= SEEN_RED:
        lips = lips - np.nanmedian(lips) if np.isfinite(lips).any() else lips
    return hidden_mouths(lips.astype(np.float32))


def _pools(takes: npt.NDArray[np.int32], free: Flags) -> list[tuple[Flags, Flags]]:
    """Return for each take its frames, and those by which its rest is known: its own if it has enough."""
    if not free.any():
        return []
    numbers = np.unique(takes[takes >= 0])
    owns = [takes == number for number in numbers]
    return [(own, own & free if (own & free).sum() >= OWN_TAKE else free) for own in owns]


def _pressed(red: npt.NDArray[np.float32], pool: Flags) -> Flags:
    usual = float(np.median(red[pool]))
    pressed: Flags = red < PALE * usual if usual > RED else np.zeros(len(red), np.bool_)
    return pressed


def _resting(opening: Numbers, among: Flags) -> Flags:
    low, high = np.quantile(opening[among], [0.05, 0.95])
    resting: Flags = among & (opening <= low + REST_SHARE * (high - low))
    return resting


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


def _parts(count: int) -> list[slice]:
    """Divide so many frames into parts of :data:`_FRAMES_AT_ONCE`."""
    return [slice(first, min(first + _FRAMES_AT_ONCE, count)) for first in range(0, count, _FRAMES_AT_ONCE)]


def _steady(
    meshes: npt.NDArray[np.floating],
    part: slice,
    takes: npt.NDArray[np.int32],
    found: Flags,
    points: Sequence[int] | slice = slice(None),
) -> Canonical:
    """Return ``points`` of a part of meshes (n, k, 3) without their tremor; nan becomes 0.

    A quarter of each neighbour's is in every one, of the same take.
    """
    near = slice(max(part.start - 1, 0), min(part.stop + 1, len(meshes)))
    steady = np.nan_to_num(meshes[near][:, points].astype(np.float64))
    seen, takes = found[near], takes[near]
    same = seen[1:] & seen[:-1] & (takes[1:] == takes[:-1])
    change = np.where(same[:, None, None], steady[1:] - steady[:-1], 0) / 4
    step = np.zeros_like(steady)
    step[:-1] += change
    step[1:] -= change
    steady += step
    return steady[part.start - near.start : part.stop - near.start]
