"""Sampling a part of a frame that holds far more pixels than are asked for: they are averaged first.

Bilinear sampling looks at four pixels only: of a large face it skips most, and what it sees trembles with
the grain of the footage.
"""

import cv2
import numpy as np

from app.media.frames import Affine, BgrImage, FrameLayout, I420Frame, Plane

Region = tuple[tuple[int, int], tuple[int, int]]
"""First and last, exclusive, of rows and of columns."""


def sample_averaged(layout: FrameLayout, frame: I420Frame, affine: Affine, side: int) -> BgrImage:
    """Cut a ``side`` x ``side`` BGR picture out of a frame, as :meth:`FrameLayout.sample_bgr` does.

    Where it is half as large as what it shows or less, pixels are averaged by a whole factor before.
    """
    factor, region = averaged_part(layout, affine, side)
    if region is None:
        return layout.sample_bgr(frame, affine, (side, side))
    (top, bottom), (left, right) = region
    small = FrameLayout((right - left) // factor, (bottom - top) // factor, layout.color)
    planes = []
    for plane, step in zip(layout.planes(frame), (1, 2, 2), strict=True):
        part = plane[top // step : bottom // step, left // step : right // step]
        size = part.shape[1] // factor, part.shape[0] // factor
        planes.append(cv2.resize(part, size, interpolation=cv2.INTER_AREA).ravel())
    there = _within(affine, region, factor)
    aside = (1 - 1 / factor) / 2  # the mean of left-sited chroma lies nearer to the middle of its luma
    return small.sample_bgr(np.concatenate(planes), there, (side, side), aside)


def sample_luma_averaged(layout: FrameLayout, frame: I420Frame, affine: Affine, side: int) -> Plane:
    """Cut as much out of the luma of a frame, (side, side); beyond its border its edge goes on."""
    luma = layout.planes(frame)[0]
    factor, region = averaged_part(layout, affine, side)
    if region is not None:
        (top, bottom), (left, right) = region
        size = (right - left) // factor, (bottom - top) // factor
        part = luma[top:bottom, left:right]
        luma = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        affine = _within(affine, region, factor)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(luma, affine, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8)


def averaged_part(layout: FrameLayout, affine: Affine, side: int) -> tuple[int, Region | None]:
    """Return how many pixels are averaged each way, and the part of the frame where they are, if any are."""
    factor = int(np.hypot(*affine[:, 0]))
    return factor, _around(layout, affine, side, 2 * factor) if factor > 1 else None


def _within(affine: Affine, region: Region, factor: int) -> Affine:
    """Return the map to positions in the averaged part."""
    (top, _), (left, _) = region
    there = affine / factor
    there[:, 2] = (affine[:, 2] + 0.5 - (left, top)) / factor - 0.5
    return there


def _around(layout: FrameLayout, affine: Affine, side: int, step: int) -> Region | None:
    """Return the rows and columns of a frame, in steps, that hold the picture; None if none do."""
    corners = corners_of(affine, side)
    ends = []
    for places, length in zip(corners[::-1], (layout.height, layout.width), strict=True):
        first, last = int(places.min() // step) - 1, int(places.max() // step) + 2
        first, last = (min(max(edge, 0), length // step) * step for edge in (first, last))
        if first >= last:
            return None
        ends.append((first, last))
    return ends[0], ends[1]


def corners_of(affine: Affine, side: int) -> Affine:
    """Return where the corners of the picture lie in the frame: x and y, (2, 4)."""
    corners: Affine = affine[:, :2] @ (np.array([[0, 0, 1, 1], [0, 1, 0, 1]]) * (side - 1)) + affine[:, 2:]
    return corners
