"""Frames that were made get back the high dynamic range of the footage, which mouths are not made with.

Faces are found and mouths made in frames that were mapped to BT.709. What a mouth changed in such a frame is
mapped back and added to the frame as it came, in 10 bits; everything else is the footage's own.
"""

import cv2
import numpy as np
import numpy.typing as npt

from app.media.frame_file import FrameReader
from app.media.frames import Color, DeepFrame, FrameLayout, I420Frame, bgr_to_yuv, yuv_to_bgr
from app.media.tone_mapping import unmapped

_Picture = npt.NDArray[np.float64]
_DARKEST, _BRIGHTEST = 4, 1019
"""What 10 bits may hold in a video signal."""


class Deepening:
    """Brings frames of one avatar to the colours of its footage."""

    def __init__(self, layout: FrameLayout, color: Color, flat: FrameReader, deep: FrameReader) -> None:
        """``flat`` are the frames as mouths were made in them, ``deep`` as they came, in ``color``."""
        self._layout, self._color, self._flat, self._deep = layout, color, flat, deep

    def deepened(self, made: I420Frame, source: int) -> DeepFrame:
        """Return frame ``source`` of the footage with what ``made`` has changed of it."""
        layout = self._layout
        flat = np.empty(layout.frame_bytes, np.uint8)
        self._flat.read_into(source, flat)
        frame = np.empty(layout.deep_bytes, np.uint8)
        self._deep.read_into(source, frame)
        changed = self._changed(made, flat)
        if changed is None:
            return frame
        (top, bottom), (left, right) = changed
        more = self._signal(made, changed) - self._signal(flat, changed)
        for number, plane in enumerate(layout.deep_planes(frame)):
            shrink = 1 if number == 0 else 2
            part = plane[top // shrink : bottom // shrink, left // shrink : right // shrink]
            own = cv2.resize(more[..., number], part.shape[::-1], interpolation=cv2.INTER_AREA)
            part[:] = np.clip(np.rint(part + own), _DARKEST, _BRIGHTEST)
        return frame

    def _changed(self, made: I420Frame, flat: I420Frame) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return the even rows and columns between which a frame was changed; None if nowhere."""
        ends = []
        for axis in (1, 0):
            places = [
                np.flatnonzero((one != other).any(axis=axis)) * (1 if number == 0 else 2)
                for number, (one, other) in enumerate(
                    zip(self._layout.planes(made), self._layout.planes(flat), strict=True)
                )
            ]
            every = np.concatenate(places)
            if not len(every):
                return None
            ends.append((int(every.min()) // 2 * 2, int(every.max()) // 2 * 2 + 2))
        return ends[0], ends[1]

    def _signal(self, frame: I420Frame, part: tuple[tuple[int, int], tuple[int, int]]) -> _Picture:
        """Return a part of a frame as 10-bit Y, U and V of the footage's colours, (h, w, 3)."""
        (top, bottom), (left, right) = part
        size = (right - left, bottom - top)
        luma, *chroma = self._layout.planes(frame)
        planes = [luma[top:bottom, left:right]]
        for plane in chroma:
            small = plane[top // 2 : bottom // 2, left // 2 : right // 2]
            planes.append(np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8))
        matrix = yuv_to_bgr(self._layout.color)
        bgr = np.dstack(planes) @ matrix[:, :3].T + matrix[:, 3]
        rgb = unmapped(np.clip(bgr[..., ::-1] / 255, 0, 1), self._color.transfer)
        back = bgr_to_yuv(self._color)
        signal: _Picture = 4 * ((255 * rgb[..., ::-1]) @ back[:, :3].T + back[:, 3])
        return signal
