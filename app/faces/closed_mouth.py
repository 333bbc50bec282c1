"""Which frame lends its closed mouth to which: references for models that ask for them.

Such a model paints the mouth on a face whose mouth is shut, so nothing of the old words can show through. For
every frame of a video this finds one with a shut mouth and much the same pose, and the affine map that lays
its head onto the frame's own. A change of the reference shows, so one is kept as long as it serves.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.types import FaceLandmarks, Landmarks
from app.media.frames import Affine

Openings = npt.NDArray[np.float64]
"""float64 (n,): gap between the inner lips over the distance of the eyes; nan where there is no face."""

References = npt.NDArray[np.int32]
"""int32 (n,): the frame whose mouth each frame borrows; -1 where there is no face."""

PoseDistances = npt.NDArray[np.float64]
"""float64 (frames, candidates): how far a head must bend, beyond any affine map, to lie on another."""

STILL_POINTS: Final = (
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 127, 356, 98, 327, 2, 54, 284, 21, 251),
    *(116, 345, 143, 372),
)
"""Face Mesh points that speech does not move: eyes, nose, forehead, temples, cheekbones."""

_UPPER_LIP, _LOWER_LIP = (81, 82, 13, 312, 311), (178, 87, 14, 317, 402)
_EYES: Final = (33, 263)

CANDIDATES: Final = 12
CLOSED_SHARE: Final = 0.12
"""References come from this share of the frames, those with the smallest opening."""

FARTHEST_POSE: Final = 0.032
"""Pose distance, in eye distances, beyond which another head's hair and background would lie on this one's
cheek. Seen on a head that turns; talking heads stay below."""

ROUNDS: Final = 8
"""Heads that turn needed up to 4, a crowd 8; the bound is for videos without two frames of the same pose."""

POSE_WEIGHT: Final = 4.0
"""Cost of a pose distance of one eye distance, in openings."""
CHANGE_COST: Final = 1.0
"""Cost of changing the reference, in frames times opening: about a second of a slightly better one."""


def mouth_openings(landmarks: Landmarks) -> Openings:
    """Return how far the mouths of ``landmarks`` (n, 468, 2) are open."""
    points = landmarks.astype(np.float64)
    gap = np.linalg.norm(points[:, _LOWER_LIP] - points[:, _UPPER_LIP], axis=-1).mean(axis=1)
    openings: Openings = gap / np.linalg.norm(points[:, _EYES[0]] - points[:, _EYES[1]], axis=-1)
    return openings


def head_affine(target: FaceLandmarks, reference: FaceLandmarks) -> Affine:
    """Return the affine map from positions on the target's head to those on the reference's head.

    Least squares over :data:`STILL_POINTS`; both (468, 2). To lay the reference's picture onto the target,
    sample it at the mapped positions.
    """
    still = list(STILL_POINTS)
    here = np.column_stack([target[still].astype(np.float64), np.ones(len(still))])
    solution = np.linalg.lstsq(here, reference[still].astype(np.float64), rcond=None)[0]
    affine: Affine = np.ascontiguousarray(solution.T)
    return affine


def closed_references(landmarks: Landmarks) -> References:
    """Choose for every frame of one video the frame that lends it a closed mouth, the fewest changes.

    Frames in a pose that no closed mouth fits borrow from the most closed among themselves, and so on for
    :data:`ROUNDS`; one that is alone in its pose is its own reference.
    """
    references = np.full(len(landmarks), -1, np.int32)
    seen = np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2)))
    if not len(seen):
        return references
    references[seen] = seen
    openings, heads = mouth_openings(landmarks[seen]), _heads(landmarks[seen])
    left = np.arange(len(seen))
    for _ in range(ROUNDS):
        candidates = left[_spread(heads[left], openings[left])]
        distances = _pose_distances(heads[left], heads[candidates])
        path = _cheapest_path(openings[candidates] + POSE_WEIGHT * distances)
        fits = distances[np.arange(len(left)), path] <= FARTHEST_POSE
        references[seen[left[fits]]] = seen[candidates[path[fits]]]
        left = left[~fits]
        if not len(left):
            break
    return references


def _heads(landmarks: Landmarks) -> npt.NDArray[np.float64]:
    """Return the still points (n, k, 2) about their mean, in eye distances."""
    points = landmarks[:, list(STILL_POINTS)].astype(np.float64)
    centred = points - points.mean(axis=1, keepdims=True)
    eyes = landmarks[:, _EYES[0]].astype(np.float64) - landmarks[:, _EYES[1]]
    heads: npt.NDArray[np.float64] = centred / np.linalg.norm(eyes, axis=1)[:, None, None]
    return heads


def _spread(heads: npt.NDArray[np.float64], openings: Openings) -> npt.NDArray[np.intp]:
    """Pick a few of the most closed mouths in poses as different as possible (farthest first)."""
    count = max(1, round(CLOSED_SHARE * len(openings)))
    closed = np.argsort(openings, kind="stable")[:count]
    flat = heads[closed].reshape(len(closed), -1)
    picked = [0]
    distance = np.linalg.norm(flat - flat[0], axis=1)
    while len(picked) < min(CANDIDATES, len(closed)) and distance.max() > 0:
        picked.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(flat - flat[picked[-1]], axis=1))
    chosen: npt.NDArray[np.intp] = closed[picked]
    return chosen


def _pose_distances(heads: npt.NDArray[np.float64], references: npt.NDArray[np.float64]) -> PoseDistances:
    """Return what the best affine map of each reference leaves over, root mean square, in eye distances."""
    distances = np.empty((len(heads), len(references)))
    for column, reference in enumerate(references):
        basis, _ = np.linalg.qr(np.column_stack([reference, np.ones(len(reference))]))
        rest = heads - basis @ (basis.T @ heads)
        distances[:, column] = np.sqrt(np.square(rest).sum(axis=2).mean(axis=1))
    return distances


def _cheapest_path(cost: PoseDistances) -> npt.NDArray[np.intp]:
    """Return the column of each row such that costs and changes together are least (Viterbi)."""
    total = cost[0].copy()
    came_from = np.zeros(cost.shape, np.intp)
    for row in range(1, len(cost)):
        best = int(total.argmin())
        changes = total[best] + CHANGE_COST < total
        came_from[row] = np.where(changes, best, np.arange(len(total)))
        total = np.minimum(total, total[best] + CHANGE_COST) + cost[row]
    path = np.empty(len(cost), np.intp)
    path[-1] = total.argmin()
    for row in range(len(cost) - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path
