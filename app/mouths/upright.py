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

_MARGIN: Final = 4
"""Rows around a picture that sampling it may look at: two of chroma."""

SIZE: Final = 192
"""Side of the picture, pixels: twice that of an aligned crop, which it is otherwise."""

_CORNERS: Final = np.array([[0, 0, 1, 1], [0, 1, 0, 1]]) * (SIZE - 1)


def upright_affine(landmarks: FaceLandmarks) -> Affine:
    """Map pixels of the upright picture of a face (468, 2) to positions in its frame."""
    affine = alignment(landmarks)
    scale = CROP_SIZE / SIZE
    fine = affine * [scale, scale, 1]
    fine[:, 2] += (fine[:, :2] - affine[:, :2]).sum(axis=1) / 2
    return fine


def upright_picture(layout: FrameLayout, frame: I420Frame, affine: Affine) -> BgrImage:
    """Cut the upright picture (192, 192, 3) out of a frame; a larger face is averaged first."""
    factor, region = _averaged(layout, affine)
    if region is None:
        return layout.sample_bgr(frame, affine, (SIZE, SIZE))
    (top, bottom), (left, right) = region
    small = FrameLayout((right - left) // factor, (bottom - top) // factor, layout.color)
    planes = []
    for plane, step in zip(layout.planes(frame), (1, 2, 2), strict=True):
        part = plane[top // step : bottom // step, left // step : right // step]
        size = part.shape[1] // factor, part.shape[0] // factor
        planes.append(cv2.resize(part, size, interpolation=cv2.INTER_AREA).ravel())
    there = affine / factor
    there[:, 2] = (affine[:, 2] + 0.5 - (left, top)) / factor - 0.5
    return small.sample_bgr(np.concatenate(planes), there, (SIZE, SIZE))


def rows_shown(layout: FrameLayout, affine: Affine) -> tuple[int, int]:
    """Return the first row that :func:`upright_picture` looks at, and the one after the last; both even."""
    _, region = _averaged(layout, affine)
    if region is not None:
        return region[0]
    rows = affine[1, :2] @ _CORNERS + affine[1, 2]
    top = min(max(int(rows.min()) // 2 * 2 - _MARGIN, 0), layout.height - 2)
    return top, min(max(int(rows.max()) // 2 * 2 + 2 + _MARGIN, top + 2), layout.height)


def _averaged(
    layout: FrameLayout, affine: Affine
) -> tuple[int, tuple[tuple[int, int], tuple[int, int]] | None]:
    """Return how many pixels are averaged each way, and the part of the frame where they are, if any are."""
    factor = int(np.hypot(*affine[:, 0]))
    return factor, _around(layout, affine, 2 * factor) if factor > 1 else None


def _around(layout: FrameLayout, affine: Affine, step: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the rows and columns of a frame, in steps, that hold the upright picture; None if none do."""
    corners = affine[:, :2] @ _CORNERS + affine[:, 2:]
    ends = []
    for places, length in zip(corners[::-1], (layout.height, layout.width), strict=True):
        first, last = int(places.min() // step) - 1, int(places.max() // step) + 2
        first, last = (min(max(edge, 0), length // step) * step for edge in (first, last))
        if first >= last:
            return None
        ends.append((first, last))
    return ends[0], ends[1]


def in_upright(landmarks: FaceLandmarks, affine: Affine) -> Points:
    """Return where points (k, 2) of the frame lie in the upright picture."""
    points: Points = (landmarks.astype(np.float64) - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return points


def aligned(picture: BgrImage) -> BgrImage:
    """Return the aligned crop (96, 96, 3) of :mod:`app.faces.hidden` that an upright picture holds."""
    return np.asarray(cv2.resize(picture, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
