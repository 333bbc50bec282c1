"""Meets the person whom a study is of: how their mouth rests, what it does from there, which frames may lend.

A person's zero is how their mouth usually rests, not the most closed mouth of the footage, which is often a
pout or pressed lips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from app.faces.head import RIGID_POINTS
from app.mouths.lending import without_lenders
from app.mouths.looks import MET
from app.mouths.person import Person, enough_frames
from app.mouths.points import SPEECH_POINTS
from app.mouths.space import (
    MOST_TEETH,
    TEETH_UNITS,
    Canonical,
    Pose,
    align,
    opening_of,
    shape_space,
    symmetrical,
    turned_front,
)
from app.mouths.study import Study, TakeFrames, frames_of_takes
from app.mouths.talking import steady_share
from app.mouths.types import Flags, Numbers
from app.mouths.visibility import seen_mouths

REST_SHARE: Final = 0.2
"""A mouth rests if it opens no further than this share of the way from the 5th to the 95th percentile."""

OPEN, OPEN_SHARE = 0.07, 0.5
"""Opening, in distances of the inner eyes, from which a mouth may be lent for open ones, and the share of the
range that is enough where somebody never opens far. By the range alone, who laughs once would have no open
mouths while talking."""

PALE: Final = 0.7
"""Lips that show less than this share of the red that the person's usually show are pressed in: seen on a
woman with lipstick, 0.41 where pressed."""

PALE_MET, FEWEST_MET = 0.85, 3
"""The same share for lips that meet, of what such lips show: one woman presses them in below 0.75. And
frames of them from which they have a usual red of their own: of three of twelve people in training hardly one
had :data:`PALE` of what is usual."""

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

MOST_COVERED, LEAST_FREE = 0.12, 0.15
"""Share of the lips that may be hidden, beyond what is usual, in a frame that lends its mouth; and share of
the frames of a take that must remain: where less is free, every mouth that is seen there may be lent."""

MOST_FACE_COVERED: Final = 0.045
"""Share of the lower face beside the lips that may be hidden in a frame that lends, under the same condition:
a hand there would be lent with the mouth; of 48 clips of talkers, 88 % of the frames have less. What one
network alone finds counts, too: a banana was lent to frames without it."""

_FRAMES_AT_ONCE: Final = 1024
"""Frames whose heads are turned to the front together: that takes many times their memory."""

STILLER: Final = 4
"""How often the tremor is taken off mouths that do not talk, for it is all that moves there: they are bent by
what their shape lacks, and would be by what it trembles."""


def meet(study: Study, fps: float) -> Person:
    """Make of measurements the person they are of."""
    found: Flags = np.isfinite(study.meshes[:, 0, 0])
    share = steady_share(fps)
    pose, front = _posed(study, found, share)
    nowhere = np.zeros(len(study), np.bool_)
    person = _measured(study, fps, found, pose, front, nowhere)
    silent = _silent(person)
    if not silent.any():
        return person
    stiller, stretches = np.empty_like(front), _stretches(study)
    for _ in range(STILLER):
        for part in _parts(len(front)):
            stiller[part] = _steady(front, part, stretches, found, share)
        np.copyto(front, stiller, where=silent[:, None, None])
    del stiller
    return _measured(study, fps, found, pose, front, silent)


def _silent(person: Person) -> Flags:
    if not person.talks:
        return np.ones(len(person), np.bool_)
    opened = person.usable & (person.openings >= min(OPEN, OPEN_SHARE * person.range))
    return without_lenders(person.places, person.study.takes, opened, person.fps)


@dataclass(frozen=True)
class _Mouths:
    """What is measured of every mouth, whoever's it is."""

    flat: Numbers
    """float64 (n, 2k): speech points at the front, made symmetrical."""
    opening: Numbers
    teeth: Numbers
    study: Study


@dataclass(frozen=True)
class _Rest:
    """How a mouth rests in some frames, from which the shapes of a take are measured."""

    red: float
    """Lips that are parted and of less are pressed in."""
    red_met: float
    """Lips that meet and are of less are pressed in."""
    opening: float
    """A mouth rests that opens no further."""
    zero: Numbers
    teeth: Numbers
    parted: float
    ajar: float
    """As :attr:`Person.ajar`."""

    @classmethod
    def of(cls, mouths: _Mouths, pool: TakeFrames) -> Self:
        """Measure the rest in frames that may lend, of which there is at least one."""
        red, opening = mouths.study.redness[pool], mouths.opening[pool]
        usual, met = float(np.median(red)), mouths.study.parting[pool] < MET
        least = least_met = PALE * usual if usual > RED else -np.inf
        if met.sum() >= FEWEST_MET:
            least_met = min(least, PALE_MET * float(np.median(red[met])))
        full = red >= np.where(met, least_met, least)
        low, high = np.quantile(opening[full], [0.05, 0.95])
        most = float(low + REST_SHARE * (high - low))
        resting = pool[full & (opening <= most)]
        parted = float(np.median(mouths.opening[resting]))
        seen_parted = float(np.median(mouths.study.parting[resting])) >= SEEN_PARTED
        return cls(
            red=least,
            red_met=least_met,
            opening=most,
            zero=np.median(mouths.flat[resting], axis=0, overwrite_input=True),
            teeth=np.median(mouths.teeth[resting], axis=0),
            parted=parted,
            ajar=0.0 if parted < (LEAST_PARTED if seen_parted else MOST_SHUT) else parted - SHUT,
        )

    def full(self, study: Study, frames: TakeFrames) -> Flags:
        """Tell in which frames lips are not pressed in."""
        full: Flags = study.redness[frames] >= np.where(study.parting[frames] < MET, self.red_met, self.red)
        return full


def _measured(study: Study, fps: float, found: Flags, pose: Pose, front: Canonical, silent: Flags) -> Person:
    """Measure the mouths; those of ``silent`` takes from how they rest there, however short these are."""
    space = shape_space()
    flat, opening = np.empty((len(front), 2 * front.shape[1])), np.empty(len(front))
    for part in _parts(len(front)):
        even = symmetrical(front[part])
        flat[part], opening[part] = even[:, :, :2].reshape(len(even), -1), opening_of(even)
    seen = seen_mouths(study, fps, found, opening)
    mouths = _Mouths(flat, opening, study.teeth / np.array(TEETH_UNITS), study)
    shapes = np.zeros((len(study), 8), np.float32)
    openings, ajar = np.zeros((2, len(study)))
    free = _free(study, seen)
    rest, usable = np.zeros(len(study), np.bool_), free.copy()
    everywhere = np.flatnonzero(free)
    common = _Rest.of(mouths, everywhere) if len(everywhere) else None
    for take in frames_of_takes(study.takes):
        pool = take[free[take]]
        least = 1 if silent[take].all() else enough_frames(fps)
        own = _Rest.of(mouths, pool) if len(pool) >= least else common
        if own is None:
            break
        usable[take] &= own.full(study, take)
        rest[take] = usable[take] & (opening[take] <= own.opening)
        components = np.concatenate(
            [(flat[take[part]] - own.zero) @ space.basis.T for part in _parts(len(take))]
        )
        teeth = np.clip(mouths.teeth[take] - own.teeth, -MOST_TEETH, MOST_TEETH)
        shapes[take] = np.column_stack([components, teeth])
        openings[take], ajar[take] = opening[take] - own.parted, own.ajar
    return Person(study, fps, seen, usable, silent, pose, front, shapes, openings, rest, ajar)


def _free(study: Study, seen: Flags) -> Flags:
    """Tell which mouths nothing covers; in takes that show hardly any, which ones are seen."""
    lips = np.nan_to_num(study.covers.lips)
    more = np.maximum(lips - float(np.median(lips[seen])), 0) if seen.any() else lips
    free = _or_more(seen & (more < MOST_COVERED), seen, seen, study.takes)
    clean = free & (study.covers.beside < MOST_FACE_COVERED)
    return _or_more(clean, free, seen, study.takes)


def _or_more(some: Flags, more: Flags, seen: Flags, takes: npt.NDArray[np.int32]) -> Flags:
    """Return ``some`` frames, but ``more`` in takes where they are a small share of those that are seen."""
    known = takes >= 0
    counts = [np.bincount(takes[flags & known], minlength=takes.max() + 1) for flags in (some, seen)]
    few = counts[0] < LEAST_FREE * counts[1]
    enough: Flags = some | (more & np.append(few, False)[takes])
    return enough


def _posed(study: Study, found: Flags, share: float) -> tuple[Pose, Canonical]:
    """Return how each head is turned, and its speech points at the front.

    Where no mesh was found another one stands, the mean face if there is none, so that its pose is defined.
    """
    stretches, space = _stretches(study), shape_space()
    first = slice(int(found.argmax()), int(found.argmax()) + 1)
    rigid_there, speech_there = (
        _steady(study.meshes, first, stretches, found, share, points)
        for points in (RIGID_POINTS, SPEECH_POINTS)
    )
    if not found.any():
        rigid_there = space.front[None]
    count = len(found)
    pose = Pose(np.empty((count, 1, 3)), np.empty((count, 3, 3)), np.empty(count))
    front = np.empty((count, len(SPEECH_POINTS), 3))
    for part in _parts(count):
        rigid = _steady(study.meshes, part, stretches, found, share, RIGID_POINTS)
        speech = _steady(study.meshes, part, stretches, found, share, SPEECH_POINTS)
        rigid[~found[part]], speech[~found[part]] = rigid_there, speech_there
        turned = align(rigid, space.front)
        pose.mean[part], pose.turn[part], pose.scale[part] = turned.mean, turned.turn, turned.scale
        front[part] = turned_front(speech, turned)
    return pose, front


def _parts(count: int) -> list[slice]:
    """Divide so many frames into parts of :data:`_FRAMES_AT_ONCE`."""
    return [slice(first, min(first + _FRAMES_AT_ONCE, count)) for first in range(0, count, _FRAMES_AT_ONCE)]


def _stretches(study: Study) -> npt.NDArray[np.int32]:
    """Number the stretches (n,) within which motion goes on: takes, parted by jumps."""
    ends = study.cuts.copy()
    ends[1:] |= np.diff(study.takes) != 0
    return np.cumsum(ends, dtype=np.int32)


def _steady(
    meshes: npt.NDArray[np.floating],
    part: slice,
    stretches: npt.NDArray[np.int32],
    found: Flags,
    share: float,
    points: Sequence[int] | slice = slice(None),
) -> Canonical:
    """Return ``points`` of a part of meshes (n, k, 3) without their tremor; nan becomes 0.

    A ``share`` of each neighbour's is in every one, of the same stretch.
    """
    near = slice(max(part.start - 1, 0), min(part.stop + 1, len(meshes)))
    steady = np.nan_to_num(meshes[near][:, points].astype(np.float64))
    seen, stretches = found[near], stretches[near]
    same = seen[1:] & seen[:-1] & (stretches[1:] == stretches[:-1])
    change = np.where(same[:, None, None], steady[1:] - steady[:-1], 0) * share
    step = np.zeros_like(steady)
    step[:-1] += change
    step[1:] -= change
    steady += step
    return steady[part.start - near.start : part.stop - near.start]
