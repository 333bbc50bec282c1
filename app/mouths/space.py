"""Mouth shapes: what of a face mesh is speech, free of the head's pose and of the person.

The mesh is turned to face the camera by the points that speech does not move, the lower face is made
symmetrical, the person's own resting mouth is subtracted, and what is left is described by a few principal
components in units of their standard deviation. So 0 is the resting mouth of anybody. The last two numbers of
a shape are not of the mesh: how much more of the upper and of the lower teeth shows than at rest, which an
outline does not tell.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.head import RIGID_POINTS
from app.mouths.points import SPEECH_POINTS, SPEECH_ROWS, UPPER_LIP_OUTER

MouthShapes = npt.NDArray[np.float32]
"""float32 (n, 8): principal components, standard deviations from a resting mouth; and the teeth that show."""

Canonical = npt.NDArray[np.float64]
"""float64 (n, k, 3): mesh points turned to the front, in distances of the inner eyes."""

Meshes = npt.NDArray[np.float64]
"""float64 (n, 468, 3): Face Mesh points in space, all three in the same unit."""

COMPONENTS: Final = 6
SHAPE_DIMS: Final = COMPONENTS + 2
TEETH_UNITS: Final = (0.3, 0.45)
"""Upper and lower teeth in about their standard deviation over the packs tried."""
MOST_TEETH: Final = 6.0
"""Where laughter is cut off."""

_INNER: Final = slice(3, 8)
"""The middle of a row of lip points."""


@dataclass(frozen=True)
class ShapeSpace:
    """The basis in which shapes are described; ``basis`` has rows of unit length over their deviation."""

    front: npt.NDArray[np.float64]
    """float64 (k, 3): the rigid points of the mean face."""
    basis: npt.NDArray[np.float64]
    """float64 (6, m): from deviations of the speech points (x, y of each) to components."""


@dataclass(frozen=True)
class Pose:
    """How heads are turned: ``scale * (points - mean) @ turn`` faces the camera."""

    mean: Canonical
    """float64 (n, 1, 3)."""
    turn: npt.NDArray[np.float64]
    """float64 (n, 3, 3)."""
    scale: npt.NDArray[np.float64]
    """float64 (n,)."""


@cache
def shape_space() -> ShapeSpace:
    """Return the project's shape space, the same for every avatar and model of ours.

    Its principal components are those of 100,000 frames of some 80 speakers (``docs/training/design.md``).
    """
    stored = json.loads(Path(__file__).with_name("space.json").read_text(encoding="utf-8"))
    return ShapeSpace(np.array(stored["front"]), np.array(stored["basis"]))


def pose_of(meshes: Meshes, front: npt.NDArray[np.float64]) -> Pose:
    """Return what turns each mesh to the ``front`` face by its rigid points."""
    return align(meshes[:, list(RIGID_POINTS)], front)


def align(points: Canonical, front: npt.NDArray[np.float64]) -> Pose:
    """Return the pose that brings rigid points (n, k, 3) nearest to the front face (Kabsch, Umeyama)."""
    mean = points.mean(axis=1, keepdims=True)
    centred = points - mean
    u, s, vt = np.linalg.svd(np.einsum("nki,kj->nij", centred, front))
    mirror = np.ones((len(points), 3))
    mirror[:, 2] = np.sign(np.linalg.det(u @ vt))
    scale = (s * mirror).sum(axis=1) / np.square(centred).sum(axis=(1, 2))
    return Pose(mean, (u * mirror[:, None]) @ vt, scale)


def turned_front(speech: Canonical, pose: Pose) -> Canonical:
    """Return speech points (n, k, 3) turned to the front."""
    turned: Canonical = (speech - pose.mean) @ pose.turn
    turned *= pose.scale[:, None, None]
    return turned


def symmetrical(points: Canonical) -> Canonical:
    """Return speech points at the front, each averaged with its image in a mirror."""
    result, first = points.copy(), 0
    for row in SPEECH_ROWS:
        part = points[:, first : first + len(row)]
        result[:, first : first + len(row)] = (part + part[:, ::-1] * (-1, 1, 1)) / 2
        first += len(row)
    return result


def opening_of(points: Canonical) -> npt.NDArray[np.float64]:
    """Return how far the inner lips of speech points at the front are apart (n,)."""
    upper, lower = 2 * len(UPPER_LIP_OUTER), 3 * len(UPPER_LIP_OUTER)
    height = points[:, lower:][:, _INNER, 1] - points[:, upper:][:, _INNER, 1]
    opening: npt.NDArray[np.float64] = height.mean(axis=1)
    return opening


def speech_points(meshes: Meshes) -> Canonical:
    """Return the points of meshes (n, 468, 3) that speech moves, (n, k, 3)."""
    return meshes[:, list(SPEECH_POINTS)]


def components_of(meshes: Meshes) -> npt.NDArray[np.float64]:
    """Return the components (n, 6) of meshes, counted from the mean face instead of a person's rest."""
    space = shape_space()
    front = symmetrical(turned_front(speech_points(meshes), pose_of(meshes, space.front)))
    components: npt.NDArray[np.float64] = front[:, :, :2].reshape(len(front), -1) @ space.basis.T
    return components


def _opening_weights() -> npt.NDArray[np.float64]:
    back = np.linalg.pinv(shape_space().basis)
    points = np.zeros((COMPONENTS, len(back) // 2, 3))
    points[:, :, :2] = back.T.reshape(COMPONENTS, -1, 2)
    return opening_of(points)


OPENING: Final = _opening_weights()
"""float64 (6,): weights by which components add up to an opening, in distances of the inner eyes."""
