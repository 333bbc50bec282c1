"""The preview picture of an avatar: one frame with the face box and the mouth mask drawn in."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from app.faces.types import Box, MouthMask
from app.media.frames import BgrImage

_BOX_COLOR: Final = (80, 220, 80)
_MASK_COLOR: Final = np.array([60, 140, 255], np.float32)
_MASK_STRENGTH: Final = 0.45


def write_preview(path: Path, picture: BgrImage, box: Box, mask: MouthMask) -> None:
    """Draw ``box`` and ``mask`` into ``picture`` and write it as a JPEG."""
    top, bottom, left, right = box.tolist()
    height, width = picture.shape[:2]
    stretched = cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    y1, y2, x1, x2 = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    weight = stretched[y1 - top : y2 - top, x1 - left : x2 - left, None] * (_MASK_STRENGTH / 255)
    region = picture[y1:y2, x1:x2]
    region[:] = (region + (_MASK_COLOR - region) * weight).round().astype(np.uint8)
    thickness = max(1, round(height / 360))
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), _BOX_COLOR, thickness, cv2.LINE_AA)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    path.write_bytes(encoded.tobytes())
