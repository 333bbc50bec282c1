"""What stands still in a shot while the head moves: a caption, a collar, a shelf. No jaw takes it along."""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np

from app.faces.boxes import CHIN
from app.faces.head import brow_to_chin
from app.faces.types import Landmarks
from app.media.frames import FrameLayout, Plane
from app.mouths.looking import Frames
from app.mouths.study import TakeFrames
from app.rendering.sampling import Region

SAMPLES: Final = 9
"""Frames of a shot that are compared."""

LEAST_MOVED: Final = 0.03
"""How far a chin has to move among them, in distances from the brow, for stillness to say anything."""

SHRUNK: Final = 4
"""Pixels of luma, across and down, to one of what is compared."""

STILL, EDGE = 10, 20
"""Steps of 255 by which what stands still differs at most, an encoder's noise, and its neighbours at least:
smooth skin may be taken along."""

AROUND: Final = 2
"""Pixels of what is compared by which it is spread."""


@dataclass(frozen=True)
class Still:
    """What stands still in one shot."""

    shares: Plane
    """uint8 (rows / 4, columns / 4): 255 for what does."""

    @classmethod
    def of(cls, layout: FrameLayout, frames: Frames, shot: TakeFrames, landmarks: Landmarks) -> Self | None:
        """Compare some frames of a ``shot``; ``landmarks`` (n, 468, 2) are those of all frames.

        None if that says nothing: the shot is short, or the chin does not move in it.
        """
        if len(shot) < SAMPLES:
            return None
        some = shot[np.linspace(0, len(shot) - 1, SAMPLES).astype(int)]
        moved = float(np.ptp(landmarks[some, CHIN], axis=0).max())
        if moved < LEAST_MOVED * float(np.median([brow_to_chin(landmarks[index]) for index in some])):
            return None
        size = max(1, layout.width // SHRUNK), max(1, layout.height // SHRUNK)
        low, high = np.full(size[::-1], 255, np.uint8), np.zeros(size[::-1], np.uint8)
        frame = np.empty(layout.frame_bytes, np.uint8)
        for index in some.tolist():
            frames.read_into(index, frame, layout.rows(0, layout.height)[:1])
            small = cv2.resize(layout.planes(frame)[0], size, interpolation=cv2.INTER_AREA)
            cv2.min(low, small, low)
            cv2.max(high, small, high)
        box = np.ones((3, 3), np.uint8)
        edges = cv2.morphologyEx(high, cv2.MORPH_GRADIENT, box) >= EDGE
        still = cv2.subtract(high, low) <= STILL
        around = np.ones((2 * AROUND + 1,) * 2, np.uint8)
        spread = cv2.dilate((still & edges).astype(np.uint8) * np.uint8(255), around)
        return cls(np.asarray(cv2.blur(spread, (2 * AROUND + 1,) * 2), np.uint8)) if spread.any() else None

    def over(self, region: Region) -> Plane | None:
        """Return what stands still in a region of the frame, 0..255, small; None for nothing."""
        top, bottom, left, right = (edge // SHRUNK for edge in region)
        part = self.shares[top : bottom + 1, left : right + 1]
        return part if part.any() else None
