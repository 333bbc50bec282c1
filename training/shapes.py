"""Mouth shapes: what of a face mesh is speech, free of the head's pose and of the person.

The mesh is turned to face the camera by the points that speech does not move, the lower face is made
symmetrical, the person's own closed mouth is subtracted, and what is left is described by a few principal
components in units of their standard deviation. So 0 is the closed mouth of anybody. The last two numbers of
a shape are not of the mesh: how much more of the upper and of the lower teeth shows than in the person's
closed mouth, which an outline does not tell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.mesh import LEAST_PRESENCE
from app.mouths.points import RIGID_POINTS, SPEECH_POINTS
from app.mouths.space import (
    COMPONENTS,
    MOST_TEETH,
    TEETH_UNITS,
    Canonical,
    MouthShapes,
    Openings,
    ShapeSpace,
    align,
    opening_of,
    symmetrical,
    turned_front,
)
from app.mouths.teeth import ShownTeeth
from training.cache import Cache

Groups = npt.NDArray[np.str_]
"""str (n,): the speaker of every frame."""

_SMILE: Final = 3.0
"""Teeth of both rows, in their units, from which a mouth is taken for a smile: two people who smile for a
whole video had 6 and 10 in their most closed mouths, six of eight others under 2.5."""

_WIDE_OPEN: Final = 0.18
"""Opening, in distances of the inner eyes, about three deviations of speech."""

_CLOSED_SHARE: Final = 12
"""A person's closed mouth is the median over this part of the frames, those with the least opening."""


@dataclass(frozen=True)
class ShapeTrack:
    """The shapes of every frame of a cache."""

    shapes: MouthShapes
    teeth: ShownTeeth
    """The teeth that show in each frame, in the unit of shapes."""
    openings: Openings
    space: ShapeSpace


def measure_shapes(cache: Cache, space: ShapeSpace | None = None) -> ShapeTrack:
    """Describe every frame of ``cache`` in ``space``, or in a new one made of its own frames."""
    rigid, speech = _points(cache)
    front = _mean_face(rigid) if space is None else space.front
    turned = symmetrical(turned_front(speech, align(rigid, front)))
    opening = opening_of(turned)
    groups = np.concatenate([np.full(span.frames, span.clip.group) for span in cache.spans])
    flat = turned[:, :, :2].reshape(len(turned), -1)
    teeth = np.asarray(cache.teeth, np.float64) / TEETH_UNITS
    closed = _closed(
        np.column_stack([flat, teeth, opening]), groups, np.asarray(cache.presence) > LEAST_PRESENCE
    )
    deviations = flat - closed[:, : flat.shape[1]]
    if space is None:
        space = ShapeSpace(front, _principal(deviations))
    more = np.clip(teeth - closed[:, -3:-1], -MOST_TEETH, MOST_TEETH)
    return ShapeTrack(
        shapes=np.column_stack([deviations @ space.basis.T, more]).astype(np.float32),
        teeth=teeth.astype(np.float32),
        openings=(opening - closed[:, -1]).astype(np.float32),
        space=space,
    )


def steady_shapes(cache: Cache, track: ShapeTrack) -> MouthShapes:
    """Return the shapes without the mesh's tremor: each with a quarter of its neighbours on either side."""
    steady = track.shapes.copy()
    for span in cache.spans:
        own = track.shapes[span.start : span.start + span.frames]
        padded = np.concatenate([own[:1], own, own[-1:]])
        steady[span.start : span.start + span.frames] = (padded[:-2] + 2 * own + padded[2:]) / 4
    return steady


def smiling(track: ShapeTrack) -> npt.NDArray[np.bool_]:
    """Tell of every frame whether it shows teeth as a smile does, between lips that are not wide open."""
    result: npt.NDArray[np.bool_] = (track.teeth.sum(axis=1) > _SMILE) & (track.openings < _WIDE_OPEN)
    return result


def opening_weights(track: ShapeTrack) -> npt.NDArray[np.float32]:
    """Return the weights (8,) by which shapes add up to the opening of the lips, in its deviations.

    Teeth have none: they show how wide a mouth is open as well, but shutting it is not to take them away.
    """
    wanted = track.openings / max(float(track.openings.std()), 1e-6)
    weights = np.zeros(track.shapes.shape[1], np.float32)
    weights[:COMPONENTS] = np.linalg.lstsq(track.shapes[:, :COMPONENTS], wanted, rcond=None)[0]
    return weights


def _points(cache: Cache) -> tuple[Canonical, Canonical]:
    """Return the rigid and the speech points of every frame, in units in which a face is not squeezed."""
    mesh = np.asarray(cache.mesh[:, (*RIGID_POINTS, *SPEECH_POINTS)], np.float64)
    aspects = np.concatenate([np.full(span.frames, span.clip.aspect) for span in cache.spans])
    mesh[:, :, 0] *= aspects[:, None]
    return mesh[:, : len(RIGID_POINTS)], mesh[:, len(RIGID_POINTS) :]


def _mean_face(rigid: Canonical) -> npt.NDArray[np.float64]:
    face = rigid.mean(axis=0)
    for _ in range(4):
        face = face - face.mean(axis=0)
        face = turned_front(rigid, align(rigid, face)).mean(axis=0)
    face -= face.mean(axis=0)
    front: npt.NDArray[np.float64] = face / float(np.linalg.norm(face[1] - face[0]))
    return front


def _closed(
    mouths: npt.NDArray[np.float64], groups: Groups, seen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return for every frame the closed mouth of its speaker; ``mouths`` end with their opening."""
    opening = mouths[:, -1]
    closed = np.zeros_like(mouths)
    for group in np.unique(groups):
        own = groups == group
        usable = np.flatnonzero(own & seen)
        candidates = usable if len(usable) else np.flatnonzero(own)
        order = candidates[np.argsort(opening[candidates])]
        chosen = order[: max(3, len(order) // _CLOSED_SHARE)]
        closed[own] = np.median(mouths[chosen], axis=0)
    return closed


def _principal(deviations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sample = deviations[:: max(1, len(deviations) // 20_000)]
    _, _, rows = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)
    rows = rows[:COMPONENTS]
    basis = np.zeros((COMPONENTS, deviations.shape[1]))
    basis[: len(rows)] = rows / np.maximum((sample @ rows.T).std(axis=0), 1e-9)[:, None]
    return basis
