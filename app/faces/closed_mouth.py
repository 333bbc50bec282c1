"""How far a mouth is open, and how one head maps onto another."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.types import FaceLandmarks, Landmarks
from app.media.frames import Affine

Openings = npt.NDArray[np.float64]
"""float64 (n,): gap between the inner lips over the distance of the eyes; nan where there is no face."""

STILL_POINTS: Final = (
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 127, 356, 98, 327, 2, 54, 284, 21, 251),
    *(116, 345, 143, 372),
)
"""Face Mesh points that speech does not move: eyes, nose, forehead, temples, cheekbones."""

_STILL: Final = np.array(STILL_POINTS)
_UPPER_LIP, _LOWER_LIP = (81, 82, 13, 312, 311), (178, 87, 14, 317, 402)
_EYES: Final = (33, 263)


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
    here = np.ones((len(_STILL), 3))
    here[:, :2] = target[_STILL]
    _, solution = cv2.solve(here, reference[_STILL].astype(np.float64), flags=cv2.DECOMP_SVD)
    affine: Affine = np.ascontiguousarray(solution.T, np.float64)
    return affine
