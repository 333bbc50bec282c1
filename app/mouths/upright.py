"""The lower face, turned upright: one small picture per frame, in which mouths are measured and compared."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE, alignment
from app.faces.types import FaceLandmarks
from app.media.averaging import averaged_part, corners_of, sample_averaged
from app.media.frames import Affine, BgrImage, FrameLayout, I420Frame

Points = npt.NDArray[np.float64]
"""float64 (k, 2): x, y in pixels of a picture, pixel centres at integers."""

_MARGIN: Final = 4
"""Rows around a picture that sampling it may look at: two of chroma."""

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
    """Cut the upright picture (192, 192, 3) out of a frame; a larger face is averaged first."""
    return sample_averaged(layout, frame, affine, SIZE)


def rows_shown(layout: FrameLayout, affine: Affine) -> tuple[int, int]:
    """Return the first row that :func:`upright_picture` looks at, and the one after the last; both even."""
    _, region = averaged_part(layout, affine, SIZE)
    if region is not None:
        return region[0]
    rows = corners_of(affine, SIZE)[1]
    top = min(max(int(rows.min()) // 2 * 2 - _MARGIN, 0), layout.height - 2)
    return top, min(max(int(rows.max()) // 2 * 2 + 2 + _MARGIN, top + 2), layout.height)


def in_upright(landmarks: FaceLandmarks, affine: Affine) -> Points:
    """Return where points (k, 2) of the frame lie in the upright picture."""
    points: Points = (landmarks.astype(np.float64) - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return points


def aligned(picture: BgrImage) -> BgrImage:
    """Return the aligned crop (96, 96, 3) of :mod:`app.faces.hidden` that an upright picture holds."""
    return np.asarray(cv2.resize(picture, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
