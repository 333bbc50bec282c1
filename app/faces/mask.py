"""The soft mask: where, in a crop, the generated mouth replaces the avatar's own pixels."""

from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.boxes import CHIN
from app.faces.types import Box, ExactBox, FaceLandmarks, MouthMask

Contour = npt.NDArray[np.float64]
"""float64 (k, 2): a closed line of x, y in crop pixels, edges at 0 and S."""

Steps = npt.NDArray[np.float64]
"""float64 (S,): distance of each row or column from where a ramp begins, 1 where it ends."""

LEFT_JAW: Final = (323, 361, 288, 397, 365, 379, 378, 400, 377)
RIGHT_JAW: Final = (148, 176, 149, 150, 136, 172, 58, 132, 93)
RIGHT_CHEEK, LEFT_CHEEK = (50, 205, 98), (327, 425, 280)
NOSE_BASE: Final = 2
OUTLINE: Final = (*LEFT_JAW, CHIN, *RIGHT_JAW, *RIGHT_CHEEK, NOSE_BASE, *LEFT_CHEEK)
"""Face Mesh points around the mask: from below the person's left ear along the jaw line and around the chin
to below the right ear, then over the cheeks and below the nose."""

MIDDLE: Final = (NOSE_BASE, 0, 13, 14, 17, CHIN)
"""Face Mesh points down the middle of the face: the nose's base, the lips, the chin."""

LIPS: Final = (13, 14)
"""Face Mesh points: the middle of the upper and the lower lip, inside."""

_OUTLINE, _MIDDLE, _LIPS = np.array(OUTLINE), np.array(MIDDLE), np.array(LIPS)
_RIGHTMOST, _LEFTMOST = OUTLINE.index(RIGHT_CHEEK[0]), OUTLINE.index(LEFT_CHEEK[-1])

_SIDES: Final = np.repeat([1.0, 0, -1, -1, 0, 1], [9, 1, 9, 3, 1, 3])
"""On which side of the face each point of OUTLINE lies: 1 on the person's left (right in the picture)."""

_ROOM: Final = np.r_[np.sin(np.linspace(0, np.pi, 19)) ** 2, np.zeros(7)]
"""How much of CHIN_ROOM each point of OUTLINE gets: all at the chin, none at the ears and cheeks."""

CHIN_ROOM: Final = 0.05
"""How far the mask reaches below the chin, as a share of the crop: a generated chin may lie lower."""

FEATHER: Final = 0.03
"""Standard deviation of the edge's softness, as a share of the crop."""

CLOSED_CHEEK, OPEN_CHEEK = 0.08, 0.22
"""Width of a cheek, as a share of the crop, at which it is out of sight, and at which it is fully seen."""

OVERSAMPLING: Final = 4


def mouth_mask(landmarks: FaceLandmarks, box: Box | ExactBox, size: int) -> MouthMask:
    """Return the mask of one frame's ``size`` x ``size`` crop of ``box``, uint8 (size, size).

    It is 255 around the mouth, falls softly to 0 at the jaw line and on the cheeks, and is 0 in the
    rows above ``size // 2`` (which the model was shown) and at the crop's edges. So the head is to lean but
    little: :mod:`app.faces.leaning`.
    """
    points = _in_crop(landmarks, box, size)
    shape = _fill(_contour(points, size), points[_LIPS].mean(axis=0), size)
    sigma = FEATHER * size
    soft = cv2.GaussianBlur(shape, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    weight = ((soft - 0.5) / 0.45).clip(0, 1) * _window(size, 2 * sigma)
    mask: MouthMask = np.rint(255 * weight).astype(np.uint8)
    return mask


def _in_crop(landmarks: FaceLandmarks, box: Box | ExactBox, size: int) -> Contour:
    top, bottom, left, right = (float(edge) for edge in box)
    points = landmarks.astype(np.float64) + 0.5 - [left, top]
    crop: Contour = points * [size / (right - left), size / (bottom - top)]
    return crop


def _contour(points: Contour, size: int) -> Contour:
    """Return the outline of the mask in the crop.

    On the far side of a turned head the mesh folds behind the middle of the face, which is then where the
    background begins: what lies beyond the middle is brought back to it, and the far cheek sinks to the
    height of the nose's base.
    """
    outline = points[_OUTLINE]
    outline[:, 1] += CHIN_ROOM * size * _ROOM
    middle = points[_MIDDLE]
    middle = middle[np.argsort(middle[:, 1])]
    border = np.interp(outline[:, 1], middle[:, 1], middle[:, 0])
    beside = outline[:, 0] - border
    beside = np.where(_SIDES == 0, beside, _SIDES * np.maximum(_SIDES * beside, 0))
    right, left = -beside[_RIGHTMOST], beside[_LEFTMOST]
    cheek = np.where(_SIDES > 0, left, np.where(_SIDES < 0, right, size))
    openness = ((cheek / size - CLOSED_CHEEK) / (OPEN_CHEEK - CLOSED_CHEEK)).clip(0, 1)
    base = points[NOSE_BASE, 1]
    above = np.minimum(outline[:, 1] - base, 0)
    return np.stack([border + beside, outline[:, 1] - above + above * openness], axis=1)


def _fill(contour: Contour, center: Contour, size: int) -> npt.NDArray[np.float32]:
    """Fill ``contour`` as a fan of triangles around ``center``, 0..1.

    In a profile the far side's points fold over the near side's; a fan has no holes even so.
    """
    canvas = np.zeros((size * OVERSAMPLING, size * OVERSAMPLING), np.uint8)
    fan = np.empty((len(contour), 3, 2))
    fan[:, 0], fan[:, 1] = center, contour
    fan[:-1, 2], fan[-1, 2] = contour[1:], contour[0]
    for triangle in np.rint((fan * OVERSAMPLING - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(canvas, triangle, 255, cv2.LINE_8, shift=4)
    filled = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return filled / np.float32(255)


@cache
def _window(size: int, reach: float) -> npt.NDArray[np.float32]:
    """Return 0 above row ``size // 2`` and on the outermost pixels, rising to 1 within ``reach`` pixels.

    It is made once, and cannot be written to.
    """
    index = np.arange(size, dtype=np.float64)
    across = np.minimum(index, size - 1 - index)
    down = np.minimum(index - size // 2 + 1, size - 1 - index)
    window: npt.NDArray[np.float32] = np.outer(_ease(down / reach), _ease(across / reach)).astype(np.float32)
    window[: size // 2] = 0
    window.flags.writeable = False
    return window


def _ease(steps: Steps) -> Steps:
    share = np.clip(steps, 0, 1)
    eased: Steps = share * share * (3 - 2 * share)
    return eased
