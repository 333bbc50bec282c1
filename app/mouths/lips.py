"""What lies between the lips of a mesh, and how large their head is."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.head import eyes_apart
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceLandmarks
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.upright import Points

PixelMap = npt.NDArray[np.float32]
"""float32 (rows, columns): one number a pixel."""

_MOUTH_WIDTH, _EYES_DISTANCE = 50.0, 110.0
"""Of the corners of a mouth at rest; of the outer eye corners, at least, so that pursed lips are not taken
for a small head: mouths of 0.45 eyes' distances and more are as wide as they look."""

_UPPER, _LOWER = np.array(UPPER_LIP_INNER), np.array(LOWER_LIP_INNER)

_LIP_EDGE: Final = 0.04
"""Share of the height of an open mouth's picture that is the lower lip's edge."""


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


def between_lips(points: FaceLandmarks, region: tuple[int, int, int, int]) -> PixelMap:
    """Return what lies between the inner lips of a mesh, 0..1, softly, over a region of the frame."""
    top, bottom, left, right = region
    upper, lower = points[_UPPER], points[_LOWER]
    inside = between(upper - (left, top), lower - (left, top), (bottom - top, right - left))
    softness = max(0.6, 0.008 * eyes_apart(points))
    blurred = cv2.GaussianBlur(inside, (0, 0), softness)
    line = np.concatenate([upper, lower[::-1]]).astype(np.float32)
    return np.asarray(blurred * np.float32(_parted(line, inside)) / np.float32(255), np.float32)


def above_lower_lip(within: PixelMap, landmarks: FaceLandmarks) -> PixelMap:
    """Return :func:`between_lips` without its soft lower edge, which holds the colour of the lip.

    Lower is what is so on the head at ``landmarks``.
    """
    eyes = landmarks[LEFT_EYE].astype(np.float64) - landmarks[RIGHT_EYE]
    down = np.array([-eyes[1], eyes[0]]) / max(float(np.hypot(*eyes)), 1e-3)
    height = within.shape[int(abs(down[0]) > abs(down[1]))]
    across, rows = np.rint(max(1, round(_LIP_EDGE * height)) * down).tolist()
    edge = np.array([[1, 0, across], [0, 1, rows]])
    below = cv2.warpAffine(within, edge, within.shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return np.asarray(np.minimum(within, below), np.float32)


def head_millimetre(rest: Points, landmarks: FaceLandmarks) -> float:
    """Return a millimetre across the head at ``landmarks`` in pixels; ``rest`` is its resting mesh, (468, 2).

    A turn of the head shortens it: of 117 photographs, it falls with the turn as the cosine does.
    """
    width, distance = (
        float(np.linalg.norm(points[one].astype(np.float64) - points[other]))
        for points, one, other in ((rest, 61, 291), (landmarks, RIGHT_EYE, LEFT_EYE))
    )
    return max(width / _MOUTH_WIDTH, distance / _EYES_DISTANCE, 1e-3)


def _parted(outline: FaceLandmarks, filled: npt.NDArray[np.uint8]) -> float:
    """Return how far lips are parted, 0..1, all of it from about a pixel: a filled outline has an edge."""
    area = cv2.sumElems(filled)[0] / 255
    return min(2 * float(cv2.contourArea(outline)) / max(area, 1.0), 1.0)
