"""What two networks that learned apart mark before a face, and what of it counts.

Each takes something for a cover by mistake now and then: the first a laugh, a shadow, a chin; the second a
wall beside a turned head. They seldom take the same.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE, FAINT, HiddenFinder
from app.faces.networks import MODELS
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage

Marking = npt.NDArray[np.uint8]
"""uint8 (96, 96): how surely each pixel of one aligned crop is something before the face, 0 to 255."""

NETWORKS: Final = (MODELS / "hidden_mouth.onnx", MODELS / "hidden_mouth_second.onnx")
"""The first and the second."""

AGREED: Final = 0.3
"""Share of a mark of the first network near which the second has to mark something as well: edges differ, and
of a glass it may see only a part."""

OUTSIDE: Final = 0.65
"""Share of a mark that lies beyond the face, from which it counts though the second network finds nothing:
it finds thin, pale and clear things less well. What comes before a mouth comes from outside; a laugh does
not."""

_NEAR: Final = np.ones((9, 9), np.uint8)
"""Near is 4 pixels of a crop."""


class AgreedFinder:
    """Marks what covers faces in aligned crops, by both networks: a crop in two or three milliseconds.

    ``docs/training/design.md`` has the figures of either and of both.
    """

    def __init__(self) -> None:
        self._first, self._second = (HiddenFinder(path) for path in NETWORKS)

    def cover(self, crop: BgrImage, points: FaceLandmarks) -> tuple[Marking, Marking]:
        """Return how surely each pixel of a crop (96, 96, 3) hides the face, and how surely it may do so.

        The second is what the first network marks, whatever of it counts. ``points`` are the face's landmarks
        in the crop. The second network is not asked if the first finds nothing.
        """
        first: Marking = self._first.cover([crop])[0]
        if first.max() < FAINT:
            return np.zeros_like(first), np.zeros_like(first)
        return agreed(first, self._second.cover([crop])[0], points), first


def agreed(first: Marking, second: Marking, points: FaceLandmarks) -> Marking:
    """Return what counts of the marks (96, 96) of the first network; ``points`` are the crop's landmarks.

    Each counts as a whole, or where the second network finds something, too. What that one finds alone never
    counts: of one man it takes the lips themselves for something.
    """
    near = cv2.dilate(second, _NEAR)
    confirmed = _whole(first, near >= FAINT, AGREED)
    from_outside = _whole(first, within(points) == 0, OUTSIDE)
    return np.asarray(np.max([confirmed, from_outside, cv2.min(first, near)], axis=0), np.uint8)


def within(points: FaceLandmarks) -> Marking:
    """Return 255 within the outline of a face whose landmarks are ``points``, 0 elsewhere, (96, 96)."""
    face = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    cv2.fillPoly(face, [np.rint(cv2.convexHull(points.astype(np.float32))).astype(np.int32)], 255)
    return face


def _whole(marks: Marking, where: npt.NDArray[np.bool_], least: float) -> Marking:
    """Return the marks, each a connected region, of which at least that share lies where it is asked for."""
    count, labels = cv2.connectedComponents((marks >= FAINT).astype(np.uint8))
    area = np.bincount(labels.ravel(), minlength=count)
    kept = np.bincount(labels[where], minlength=count) >= least * np.maximum(area, 1)
    kept[0] = False
    return np.where(kept[labels], marks, np.uint8(0))
