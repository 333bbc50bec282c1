"""What lies between the lips of a mesh."""

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.types import FaceLandmarks
from app.mouths.upright import Points


def between(
    upper: FaceLandmarks | Points, lower: FaceLandmarks | Points, shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Return 255 between two rows of points (k, 2), less at its edge, in a picture of a ``shape``.

    Both rows go from left to right; ``shape`` begins with rows and columns.
    """
    inside = np.zeros(shape[:2], np.uint8)
    outline = np.concatenate([upper, lower[::-1]])
    cv2.fillPoly(inside, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return inside
