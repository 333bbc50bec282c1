"""How one head maps onto another."""

from typing import Final

import cv2
import numpy as np

from app.faces.types import FaceLandmarks
from app.media.frames import Affine

STILL_POINTS: Final = (
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 127, 356, 98, 327, 2, 54, 284, 21, 251),
    *(116, 345, 143, 372),
)
"""Face Mesh points that speech does not move: eyes, nose, forehead, temples, cheekbones."""

_STILL: Final = np.array(STILL_POINTS)


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
