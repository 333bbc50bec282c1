"""Pictures as the decoder would give them."""

from collections.abc import Sequence

import cv2
import numpy as np

from app.media.frames import BgrImage, FrameLayout, I420Frame, bgr_to_yuv


def i420(image: BgrImage, layout: FrameLayout) -> I420Frame:
    """Return a BGR picture of the layout's size as a flat I420 frame in the layout's colours."""
    yuv = cv2.transform(image, bgr_to_yuv(layout.color))
    chroma = cv2.resize(yuv[..., 1:], (layout.width // 2, layout.height // 2), interpolation=cv2.INTER_AREA)
    return np.concatenate([yuv[..., 0].ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()])


class Listed:
    """Frames in memory, read as those of a file."""

    def __init__(self, frames: list[I420Frame]) -> None:
        self._frames = frames
        self.bytes_read = 0

    def read_into(self, index: int, frame: I420Frame, parts: Sequence[slice] = (slice(None),)) -> None:
        """Fill ``frame``, or ``parts`` of it, with frame ``index``."""
        for part in parts:
            frame[part] = self._frames[index][part]
            self.bytes_read += frame[part].nbytes
