"""The lower face, turned upright: one small picture per frame, in which mouths are measured and compared."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE, alignment
from app.faces.types import FaceLandmarks
from app.media.frames import Affine, BgrImage, FrameLayout, I420Frame

Points = npt.NDArray[np.float64]
"""float64 (k, 2): x, y in pixels of a picture, pixel centres at integers."""

SIZE: Final = 192
"""Side of the picture, pixels: twice that of an aligned crop, which it is otherwise."""


def upright_affine(landmarks: FaceLandmarks) -> Affine:
    """Map pixels of the upright picture of a face (468, 2) to positions in its frame."""
    affine = alignment(landmarks)
    scale = CROP_SIZE / SIZE
    fine = affine * [scale, scale, 1]
    fine[:, 2] += (fine[:, :2] - affine[:, :2]).sum(axis=1) / 2
    return fine


def upright_picture(layout: FrameLayout, frame: I420Frame, affine: Affine) -> BgrImage:
    """Cut the upright picture (192, 192, 3) out of a frame; a larger face is averaged down to it."""
    factor = max(1, int(np.hypot(*affine[:, 0])))
    fine = affine.copy()
    fine[:, :2] /= factor
    fine[:, 2] -= fine[:, :2] @ np.full(2, (factor - 1) / 2)
    picture = layout.sample_bgr(frame, fine, (SIZE * factor, SIZE * factor))
    if factor == 1:
        return picture
    return np.asarray(cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def in_upright(landmarks: FaceLandmarks, affine: Affine) -> Points:
    """Return where points (k, 2) of the frame lie in the upright picture."""
    points: Points = (landmarks.astype(np.float64) - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return points


def aligned(picture: BgrImage) -> BgrImage:
    """Return the aligned crop (96, 96, 3) of :mod:`app.faces.hidden` that an upright picture holds."""
    return np.asarray(cv2.resize(picture, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
