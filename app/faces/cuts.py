"""Cuts: where one shot of a video ends and the next begins."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.media.frames import FrameLayout, I420Frame

Thumbnail = npt.NDArray[np.uint8]
"""uint8 (rows, columns): a few thousand luma samples of a frame."""

COLUMNS: Final = 64
MIN_CHANGE: Final = 18.0
"""Least mean difference of luma between two frames across a cut, of 255."""

MIN_RATIO: Final = 3.0
"""How many times the usual difference between neighbouring frames a cut's is at least."""


class CutDetector:
    """Tells for each frame whether a cut lies before it."""

    def __init__(self, layout: FrameLayout) -> None:
        self._layout = layout
        self._step = max(1, layout.width // COLUMNS)
        self._last: Thumbnail | None = None
        self._usual = 0.0

    def __call__(self, frame: I420Frame) -> bool:
        """Take the next frame; return whether it starts a new shot (the first one does not)."""
        step = self._step
        thumbnail = self._layout.planes(frame)[0][step // 2 :: step, step // 2 :: step].copy()
        if self._last is None:
            self._last = thumbnail
            return False
        change = float(np.mean(cv2.absdiff(thumbnail, self._last)))
        self._last = thumbnail
        cut = change > max(MIN_CHANGE, MIN_RATIO * self._usual)
        self._usual += 0.2 * (change - self._usual)
        return cut
