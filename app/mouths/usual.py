"""What is marked before a face in most frames: a beard that is taken for something, or something indeed.

A beard is as still on the face as skin is. A microphone, a caption or a hand stays where it is while the head
moves, or changes while the head is still, so that it looks otherwise in every frame. A beard grows on both
sides of a mouth: what hides one half of it alone is before the face.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.agreed import Marking, within
from app.faces.hidden import CROP_SIZE, FAINT, lips_ellipse
from app.faces.types import FaceLandmarks, Landmarks
from app.mouths.points import UPPER_LIP_OUTER

Lumas = npt.NDArray[np.uint8]
"""uint8 (n, 96, 96): aligned crops, grey."""

CHANGES, THAN_SKIN = 16.0, 2.0
"""Spread in time of the luma of what is no part of a face: in steps of 0..255, and over that of the unmarked
face. What was marked by mistake, on 40 of 120 people, has 2 to 13 and 0.5 to 2.9; three bearded men who move
much have 18 and 1.5 in their beards; 20 of 27 captions and microphones, drawn or filmed, have 18 to 69 and
2.8 to 20. The others are microphones of one dark colour before heads that move less, which look alike
wherever they are lent from, and two faint texts."""

HALF_HIDDEN, HALF_FREE = 0.9, 0.4
"""Shares of the two halves of the lips that are marked where something is before one of them all along: 1.0
and 0.26 behind a panel that reaches to the middle of a face."""

_LEAST: Final = 8
"""Pixels of a crop from which something is judged."""

_EYES: Final = 20
"""Rows of a crop that eyes and lids take."""

_INNER: Final = 9
"""Side of the square by which the face is narrowed to where nothing beside it is seen."""

_FACE_POINTS: Final = np.array(
    (
        1,
        2,
        4,
        98,
        327,
        205,
        425,
        50,
        280,
        187,
        411,
        172,
        397,
        136,
        365,
        150,
        379,
        149,
        378,
        176,
        400,
        148,
        377,
        152,
        58,
        288,
        93,
        323,
    )
)
"""Face Mesh points on nose, cheeks and jaw, by which crops are laid onto each other."""


def of_the_face(usual: Marking, lumas: Lumas, points: Landmarks) -> Marking:
    """Return what of ``usual``, the median of some frames' marks (96, 96), belongs to the face.

    ``lumas`` are those frames' crops, ``points`` (n, 468, 2) their landmarks in them.
    """
    count, labels = cv2.connectedComponents((usual >= FAINT).astype(np.uint8))
    if count == 1:
        return usual
    typical = np.median(points, axis=0)
    usual = _not_beside(usual, labels, typical)
    face = _face(typical, points)
    outline = within(typical)
    skin = face & (cv2.erode(outline, np.ones((_INNER, _INNER), np.uint8)) > 0) & (labels == 0)
    if int(skin.sum()) < _LEAST:
        return usual
    spread = _spread(lumas, points, typical, skin, face)
    most = max(CHANGES, THAN_SKIN * float(spread[skin].mean()))
    result = usual.copy()
    for label in range(1, count):
        before = labels == label
        seen = before & face
        if int(seen.sum()) >= _LEAST and float(spread[seen].mean()) >= most:
            result[before] = 0
    return result


def _not_beside(usual: Marking, labels: npt.NDArray[np.number], typical: FaceLandmarks) -> Marking:
    """Return ``usual`` without those of its parts that hide one half of the lips and not the other."""
    corners = typical[[UPPER_LIP_OUTER[0], UPPER_LIP_OUTER[-1]]].astype(np.float64)
    across, middle = corners[1] - corners[0], corners.mean(axis=0)
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    right = (columns - middle[0]) * across[0] + (rows - middle[1]) * across[1] > 0
    lips = lips_ellipse(typical) > 0
    result = usual.copy()
    for label in range(1, int(labels.max()) + 1):
        before = labels == label
        free, hidden = sorted(float(before[lips & half].mean()) for half in (right, ~right))
        if hidden >= HALF_HIDDEN and free <= HALF_FREE:
            result[before] = 0
    return result


def _spread(
    lumas: Lumas,
    points: Landmarks,
    typical: FaceLandmarks,
    skin: npt.NDArray[np.bool_],
    face: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Return how much the luma of each pixel of a ``face`` changes in time, in one light; 0 elsewhere.

    It is the deviation of a normal distribution whose first and last tenths lie as far apart.
    """
    known = np.column_stack([typical[_FACE_POINTS], np.ones(len(_FACE_POINTS))])
    to_crops = np.linalg.pinv(known) @ points[:, _FACE_POINTS].astype(np.float64)
    laid = np.array(
        [
            cv2.warpAffine(
                luma,
                affine.T,
                (CROP_SIZE, CROP_SIZE),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for luma, affine in zip(lumas, to_crops, strict=True)
        ],
        np.float32,
    )
    light = np.median(laid[:, skin], axis=1)
    evened = laid[:, face] * (np.median(light) / np.maximum(light, 8))[:, None].astype(np.float32)
    low, high = np.percentile(evened, [10, 90], axis=0)
    spread = np.zeros(face.shape)
    spread[face] = (high - low) / 2.56
    return spread


def _face(typical: FaceLandmarks, points: Landmarks) -> npt.NDArray[np.bool_]:
    """Return where the face lies below the eyes, without the lips of any of the frames."""
    lips = np.max([lips_ellipse(each) for each in points], axis=0)
    around = cv2.dilate(lips, np.ones((3, 3), np.uint8)) > 0
    face: npt.NDArray[np.bool_] = (within(typical) > 0) & ~around
    face[:_EYES] = False
    return face
