"""Pictures as the decoder would give them."""

import cv2
import numpy as np

from app.media.frames import BgrImage, FrameLayout, I420Frame, bgr_to_yuv


def i420(image: BgrImage, layout: FrameLayout) -> I420Frame:
    """Return a BGR picture of the layout's size as a flat I420 frame in the layout's colours."""
    yuv = cv2.transform(image, bgr_to_yuv(layout.color))
    chroma = cv2.resize(yuv[..., 1:], (layout.width // 2, layout.height // 2), interpolation=cv2.INTER_AREA)
    return np.concatenate([yuv[..., 0].ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()])
