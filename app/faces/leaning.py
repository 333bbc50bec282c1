"""A head that leans to its side, turned upright as far as a crop needs it.

A face's box and mask are upright (:mod:`app.faces.mask`): all weight lies in the lower half of the crop, and
half of the mouth of a head on its side does not.
"""

from dataclasses import dataclass
from functools import cached_property
from math import atan2, cos, radians, sin
from typing import Final

import cv2
import numpy as np

from app.faces.boxes import CHIN, FOREHEAD, box_of_landmarks
from app.faces.geometry import mapped
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import Box, ExactBox, FaceLandmarks
from app.media.frames import Affine

MOST_LEANING: Final = radians(20)
"""How far a head may lean in its crop, to either side. The mask of a portrait covers its lips in full up to
25 degrees; at 30 one corner has a weight of 0.88, from 40 on 0."""

LYING: Final = radians(60)
"""Nobody speaks to a camera with a head tilted by so much: it is filmed on its side."""


@dataclass(frozen=True)
class Levelled:
    """Positions of a frame turned about its face so that the head leans by :data:`MOST_LEANING` at most."""

    box: Box | ExactBox
    """That of the face, in those positions."""
    to_frame: Affine | None
    """From those positions to the frame's; None where they are the same."""

    def points(self, points: FaceLandmarks) -> FaceLandmarks:
        """Return where points (k, 2) of the frame lie."""
        if self._from_frame is None:
            return points
        return mapped(points, self._from_frame).astype(np.float32)

    @cached_property
    def _from_frame(self) -> Affine | None:
        return None if self.to_frame is None else np.asarray(cv2.invertAffineTransform(self.to_frame))


def levelled(landmarks: FaceLandmarks, box: Box) -> Levelled:
    """Level the face at ``landmarks`` (468, 2), whose upright box is ``box``."""
    lean = lean_of(landmarks)
    turn = lean - min(max(lean, -MOST_LEANING), MOST_LEANING)
    if not turn:
        return Levelled(box, None)
    middle = box.reshape(2, 2).mean(axis=1)[::-1]
    linear = np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]])
    to_frame: Affine = np.column_stack([linear, middle - linear @ middle])
    there = mapped(landmarks, np.asarray(cv2.invertAffineTransform(to_frame))).astype(np.float32)
    upright, level = (box_of_landmarks(points) for points in (landmarks, there))
    sizes = ((edges[1::2] - edges[::2]).repeat(2) for edges in (upright, level))
    before, after = sizes
    return Levelled(level + (box - upright) * after / np.maximum(before, 1e-3), to_frame)


def lean_of(landmarks: FaceLandmarks) -> float:
    """Return how far a head leans to its left (right in the picture, clockwise), radians.

    By its eyes and by its length together: eyes lie behind each other in a profile, and one higher than the
    other in a head that is turned and nods.
    """
    across = landmarks[LEFT_EYE] - landmarks[RIGHT_EYE]
    down = landmarks[CHIN] - landmarks[FOREHEAD]
    return atan2(float(across[1] - down[0]), float(across[0] + down[1]))
