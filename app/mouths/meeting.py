"""Meets the person whom a study is of: how their mouth rests, what it does from there, which frames may lend.

A person's zero is how their mouth usually rests, not the most closed mouth of the footage, which is often a
pout or pressed lips.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.head import RIGID_POINTS
from app.faces.hidden import hidden_mouths
from app.mouths.person import OWN_TAKE, SEEN_RED, Flags, Numbers, Person
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
from app.mouths.study import Study

REST_SHARE: Final = 0.2
"""A mouth rests if it opens no further than this share of the way from the 5th to the 95th percentile."""

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

DARKEST, BRIGHTEST = 28.0, 246.0
"""Brightness of the cheeks, 0..255, beyond which a frame is too dark or too bright to show a mouth."""

MOST_COVERED, LEAST_FREE = 0.12, 0.15
"""Share of the lips that may be hidden, beyond what is usual, in a frame that lends its mouth; and share of
the frames that must remain: where less is free, every mouth that is seen may be lent."""

MOST_FACE_COVERED, LIPS_SHARE = 0.045, 0.22
"""Share of the lower face beside the lips that may be hidden in a frame that lends, under the same condition:
a hand there would be lent with the mouth; of 48 clips of talkers, 88 % of the frames have less. And the share
of the lower face that the lips take; what is marked on them, beyond what is usual, may be teeth."""

_FRAMES_AT_ONCE: Final = 1024
"""Frames whose heads are turned to the front together: that takes many times their memory."""

STILLER: Final = 4
"""How often the tremor is taken off mouths that do not talk, for it is all that moves there: they are bent by
what their shape lacks, and would be by what it trembles."""


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
        zero = np.median(flat[resting], axis=0, overwrite_input=True)
        own = np.flatnonzero(take)
        components = np.concatenate([(flat[own[part]] - zero) @ space.basis.T for part in _parts(len(own))])
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
