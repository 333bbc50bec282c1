"""Frames that were made get back the transparency of the footage, which mouths are not made with.

Faces are found and mouths made in frames that are laid onto a background. What a mouth changed in such a
frame is added to the frame as it came; everything else is the footage's own, opacity included.
"""

import cv2
import numpy as np

from app.media.frame_file import FrameReader
from app.media.frames import FrameLayout, I420Frame, YuvaFrame


class Clearing:
    """Clears the background out of frames of one avatar."""

    def __init__(self, layout: FrameLayout, flat: FrameReader, clear: FrameReader) -> None:
        """``flat`` are the frames as mouths were made in them, ``clear`` as they came."""
        self._layout, self._flat, self._clear = layout, flat, clear

    def cleared(self, made: I420Frame, source: int) -> YuvaFrame:
        """Return frame ``source`` of the footage with what ``made`` has changed of it.

        Where nothing is opaque it shows the background: what footage hides there must not be seen.
        """
        layout = self._layout
        flat = np.empty(layout.frame_bytes, np.uint8)
        self._flat.read_into(source, flat)
        frame = np.empty(layout.transparent_bytes, np.uint8)
        self._clear.read_into(source, frame)
        colors, opacity = frame[: layout.frame_bytes], layout.opacity(frame)
        changed = np.flatnonzero(made != flat)
        more = made[changed].astype(np.int16) - flat[changed]
        colors[changed] = np.clip(colors[changed] + more, 0, 255)
        half = cv2.resize(opacity, layout.planes(colors)[1].shape[::-1], interpolation=cv2.INTER_AREA)
        for plane, background in zip(layout.planes(colors), layout.planes(made), strict=True):
            np.copyto(plane, background, where=(opacity if plane.shape == opacity.shape else half) == 0)
        return frame
