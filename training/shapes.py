"""Mouth shapes: what of a face mesh is speech, free of the head's pose and of the person.

The mesh is turned to face the camera by the points that speech does not move, the lower face is made
symmetrical, the person's own closed mouth is subtracted, and what is left is described by a few principal
components in units of their standard deviation. So 0 is the closed mouth of anybody. The last number of a
shape is not of the mesh: how much of the teeth shows, which an outline does not tell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.cache import Cache
from training.mesh import LEAST_PRESENCE

MouthShapes = npt.NDArray[np.float32]
"""float32 (n, 7): principal components, standard deviations from a closed mouth; and the teeth that show."""

Openings = npt.NDArray[np.float32]
"""float32 (n,): opening of the inner lips beyond the closed mouth, in distances of the inner eyes."""

Canonical = npt.NDArray[np.float64]
"""float64 (n, k, 3): mesh points turned to the front, in distances of the inner eyes."""

Groups = npt.NDArray[np.str_]
"""str (n,): the speaker of every frame."""

COMPONENTS: Final = 6
_TEETH_UNIT, _MOST_TEETH = 0.5, 4.0
"""Teeth in about their standard deviation over the packs tried (0.56), and where laughter is cut off."""

UPPER_LIP_OUTER: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP_OUTER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_LIP_INNER: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP_INNER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
JAW: Final = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
CHIN: Final = (204, 194, 201, 200, 421, 418, 424)
BELOW_LIP: Final = (83, 18, 313)
SPEECH_ROWS: Final = (
    UPPER_LIP_OUTER,
    LOWER_LIP_OUTER,
    UPPER_LIP_INNER,
    LOWER_LIP_INNER,
    JAW,
    CHIN,
    BELOW_LIP,
)
"""Rows of points that speech moves, each from the person's right to the left: reversed, it is mirrored."""

SPEECH_POINTS: Final = tuple(point for row in SPEECH_ROWS for point in row)
RIGID_POINTS: Final = (
    *(133, 362, 33, 263, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 127, 356, 98, 327, 2, 54, 284, 21, 251),
    *(116, 345, 143, 372),
)
"""Points that only the head moves; the first two are the inner corners of the eyes."""

_INNER: Final = slice(3, 8)
"""The middle of a row of lip points."""
_CLOSED_SHARE: Final = 12
"""A person's closed mouth is the median over this part of the frames, those with the least opening."""


@dataclass(frozen=True)
class ShapeSpace:
    """The basis in which shapes are described; ``basis`` has rows of unit length over ``scale``."""

    front: npt.NDArray[np.float64]
    """float64 (k, 3): the rigid points of the mean face."""
    basis: npt.NDArray[np.float64]
    """float64 (6, m): from deviations of the speech points to shapes."""


@dataclass(frozen=True)
class ShapeTrack:
    """The shapes of every frame of a cache."""

    shapes: MouthShapes
    openings: Openings
    space: ShapeSpace


def mirrored_points() -> list[int]:
    """Return for every speech point the place in SPEECH_POINTS of its image in a mirror."""
    order: list[int] = []
    for row in SPEECH_ROWS:
        order.extend(range(len(order) + len(row) - 1, len(order) - 1, -1))
    return order


def measure_shapes(cache: Cache, space: ShapeSpace | None = None) -> ShapeTrack:
    """Describe every frame of ``cache`` in ``space``, or in a new one made of its own frames."""
    rigid, speech = _points(cache)
    front = _mean_face(rigid) if space is None else space.front
    mean, turn, scale = _align(rigid, front)
    turned = _symmetrical(scale[:, None, None] * ((speech - mean) @ turn))
    opening = _opening(turned)
    groups = np.concatenate([np.full(span.frames, span.clip.group) for span in cache.spans])
    flat = turned[:, :, :2].reshape(len(turned), -1)
    closed, least = _closed(flat, opening, groups, np.asarray(cache.presence) > LEAST_PRESENCE)
    deviations = flat - closed
    if space is None:
        space = ShapeSpace(front, _principal(deviations))
    teeth = np.minimum(np.asarray(cache.teeth, np.float64) / _TEETH_UNIT, _MOST_TEETH)
    shapes = np.column_stack([deviations @ space.basis.T, teeth]).astype(np.float32)
    return ShapeTrack(shapes, (opening - least).astype(np.float32), space)


def steady_shapes(cache: Cache, track: ShapeTrack) -> MouthShapes:
    """Return the shapes without the mesh's tremor: each with a quarter of its neighbours on either side."""
    steady = track.shapes.copy()
    for span in cache.spans:
        own = track.shapes[span.start : span.start + span.frames]
        padded = np.concatenate([own[:1], own, own[-1:]])
        steady[span.start : span.start + span.frames] = (padded[:-2] + 2 * own + padded[2:]) / 4
    return steady


def opening_weights(track: ShapeTrack) -> npt.NDArray[np.float32]:
    """Return the weights (7,) by which shapes add up to the opening of the lips, in its deviations.

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
        mean, turn, scale = _align(rigid, face)
        face = (scale[:, None, None] * ((rigid - mean) @ turn)).mean(axis=0)
    face -= face.mean(axis=0)
    front: npt.NDArray[np.float64] = face / float(np.linalg.norm(face[1] - face[0]))
    return front


def _align(
    points: Canonical, front: npt.NDArray[np.float64]
) -> tuple[Canonical, Canonical, npt.NDArray[np.float64]]:
    """Return mean, rotation and scale that bring points nearest to the front face (Kabsch, Umeyama)."""
    mean = points.mean(axis=1, keepdims=True)
    centred = points - mean
    u, s, vt = np.linalg.svd(np.einsum("nki,kj->nij", centred, front))
    mirror = np.ones((len(points), 3))
    mirror[:, 2] = np.sign(np.linalg.det(u @ vt))
    scale = (s * mirror).sum(axis=1) / np.square(centred).sum(axis=(1, 2))
    return mean, (u * mirror[:, None]) @ vt, scale


def _symmetrical(points: Canonical) -> Canonical:
    result, first = points.copy(), 0
    for row in SPEECH_ROWS:
        part = points[:, first : first + len(row)]
        result[:, first : first + len(row)] = (part + part[:, ::-1] * (-1, 1, 1)) / 2
        first += len(row)
    return result


def _opening(points: Canonical) -> npt.NDArray[np.float64]:
    upper, lower = 2 * len(UPPER_LIP_OUTER), 3 * len(UPPER_LIP_OUTER)
    height = points[:, lower:][:, _INNER, 1] - points[:, upper:][:, _INNER, 1]
    opening: npt.NDArray[np.float64] = height.mean(axis=1)
    return opening


def _closed(
    flat: npt.NDArray[np.float64],
    opening: npt.NDArray[np.float64],
    groups: Groups,
    seen: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return for every frame the closed mouth of its speaker, and that mouth's opening."""
    closed, least = np.zeros_like(flat), np.zeros_like(opening)
    for group in np.unique(groups):
        own = groups == group
        usable = np.flatnonzero(own & seen)
        candidates = usable if len(usable) else np.flatnonzero(own)
        order = candidates[np.argsort(opening[candidates])]
        chosen = order[: max(3, len(order) // _CLOSED_SHARE)]
        closed[own] = np.median(flat[chosen], axis=0)
        least[own] = np.median(opening[chosen])
    return closed, least


def _principal(deviations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sample = deviations[:: max(1, len(deviations) // 20_000)]
    _, _, rows = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)
    rows = rows[:COMPONENTS]
    basis = np.zeros((COMPONENTS, deviations.shape[1]))
    basis[: len(rows)] = rows / np.maximum((sample @ rows.T).std(axis=0), 1e-9)[:, None]
    return basis
