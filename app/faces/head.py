"""How large a head is, and how one maps onto another."""

from math import hypot
from typing import Final

import cv2
import numpy as np

from app.faces.boxes import CHIN
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceLandmarks
from app.media.frames import Affine

RIGID_POINTS: Final = (
    *(133, 362, 33, 263, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 127, 356, 98, 327, 2, 54, 284, 21, 251),
    *(116, 345, 143, 372),
)
"""Face Mesh points that only the head moves, not speech: eyes, nose, forehead, temples, cheekbones. The first
two are the inner corners of the eyes."""

_RIGID: Final = np.array(RIGID_POINTS)

_BROW: Final = 168
"""Face Mesh point: between the eyes."""


def eyes_apart(landmarks: FaceLandmarks) -> float:
    """Return the distance of the outer corners of the eyes of landmarks (468, 2), pixels."""
    return hypot(*(landmarks[RIGHT_EYE] - landmarks[LEFT_EYE]).tolist())


def brow_to_chin(landmarks: FaceLandmarks) -> float:
    """Return the distance from between the eyes to the tip of the chin of landmarks (468, 2), pixels."""
    return hypot(*(landmarks[CHIN] - landmarks[_BROW]).tolist())


def head_affine(target: FaceLandmarks, reference: FaceLandmarks) -> Affine:
    """Return the affine map from positions on the target's head to those on the reference's head.

    Least squares over :data:`RIGID_POINTS`; both (468, 2). To lay the reference's picture onto the target,
    sample it at the mapped positions.
    """
    here = np.ones((len(_RIGID), 3))
    here[:, :2] = target[_RIGID]
    _, solution = cv2.solve(here, reference[_RIGID].astype(np.float64), flags=cv2.DECOMP_SVD)
    affine: Affine = np.ascontiguousarray(solution.T, np.float64)
    return affine
