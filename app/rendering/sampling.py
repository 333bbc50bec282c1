"""The pixels of a lent mouth as they lie on a frame: the lender's planes, sampled once.

The map of positions is that of the heads, bent by what the lender's shape lacks, or moved by a painter's
flow.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.types import Box, FaceLandmarks
from app.media.frames import FrameLayout, I420Frame, Plane, bgr_to_yuv
from app.mouths.bending import Placing, bend, teeth_stay
from app.mouths.painter import FACE_SIZE, FIRST_ROW

FloatPlane = npt.NDArray[np.float32]
"""float32 (rows, columns): samples of one plane, 0..255."""

FloatPlanes = npt.NDArray[np.float32]
"""float32 (planes, rows, columns)."""

CoverMarks = npt.NDArray[np.uint8]
"""uint8 (96, 96): one of :data:`app.faces.hidden.Cover`."""

Region = tuple[int, int, int, int]
"""Top, bottom, left, right of a part of the frame, luma pixels, all even, bottom and right exclusive."""


@dataclass(frozen=True)
class Stroke:
    """What is painted onto one lender, over rows 40..95 of the crop at 96; see :mod:`app.mouths.painter`."""

    flow: FloatPlanes
    """float32 (2, 56, 96)."""
    shown: FloatPlane
    """float32 (56, 96)."""
    added: FloatPlanes
    """float32 (3, 56, 96)."""


@dataclass(frozen=True)
class Lent:
    """A mouth that is to be laid: the lender's pixels, how it lies, and its share of a cross-fade."""

    frame: I420Frame
    placing: Placing
    share: float = 1.0
    stroke: Stroke | None = None
    """What is painted onto it; it is not bent then."""
    cover: CoverMarks | None = None
    """What lies before the lender's face, whose landmarks are ``landmarks`` (468, 2)."""
    landmarks: FaceLandmarks | None = None


def sampled(
    layout: FrameLayout, lent: Lent, box: Box, landmarks: FaceLandmarks, region: Region
) -> list[Plane]:
    """Return Y, U and V of a lent mouth over a region of the frame whose face lies at ``landmarks``."""
    if lent.stroke is None:
        x, y = _bent(lent.placing, landmarks, region)
    else:
        x, y = _flowing(lent.placing, lent.stroke, box, region)
    luma, *chroma = layout.planes(lent.frame)
    bright = cv2.remap(luma, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    half_x = (x[0::2, 0::2] + x[1::2, 0::2]) / 4
    half_y = (y[0::2, 0::2] + y[1::2, 0::2]) / 4 - np.float32(0.25)
    colors = [
        cv2.remap(plane, half_x, half_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for plane in chroma
    ]
    planes = [np.asarray(plane, np.uint8) for plane in (bright, *colors)]
    return planes if lent.stroke is None else _painted(layout, planes, lent.stroke, box, region)


def halved(plane: FloatPlane) -> FloatPlane:
    """Return a plane at the resolution of chroma."""
    size = plane.shape[1] // 2, plane.shape[0] // 2
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _straight(placing: Placing, region: Region) -> tuple[FloatPlane, FloatPlane]:
    """Return where in the lender each pixel of a region lies, by the affine map of the heads."""
    top, bottom, left, right = region
    (a, b, c), (d, e, f) = placing.head.tolist()
    columns = np.arange(left, right, dtype=np.float32)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    return a * columns + (b * rows + c), d * columns + (e * rows + f)


def _bent(placing: Placing, landmarks: FaceLandmarks, region: Region) -> tuple[FloatPlane, FloatPlane]:
    x, y = _straight(placing, region)
    if not placing.moves.any():
        return x, y
    size = x.shape[1], x.shape[0]
    free = 1 - cv2.resize(teeth_stay(placing, region, 0.5), size)
    field = np.asarray(
        cv2.resize(bend(placing, landmarks, region), size, interpolation=cv2.INTER_CUBIC) * free[..., None],
        np.float32,
    )
    return x + field[..., 0], y + field[..., 1]


def _flowing(placing: Placing, stroke: Stroke, box: Box, region: Region) -> tuple[FloatPlane, FloatPlane]:
    x, y = _straight(placing, region)
    top, bottom, left, right = box.tolist()
    across = _enlarged(stroke.flow[0], box, region) * np.float32((right - left) / FACE_SIZE)
    down = _enlarged(stroke.flow[1], box, region) * np.float32((bottom - top) / FACE_SIZE)
    (a, b, _), (d, e, _) = placing.head.astype(np.float32)
    return x + a * across + b * down, y + d * across + e * down


def _painted(
    layout: FrameLayout, planes: list[Plane], stroke: Stroke, box: Box, region: Region
) -> list[Plane]:
    """Return planes of a moved lender with what is painted onto it."""
    shown = np.clip(_enlarged(stroke.shown, box, region), 0, 1)
    matrix = bgr_to_yuv(layout.color)
    added = np.einsum("pc,cyx->pyx", 255 * matrix[:, :3], stroke.added).astype(np.float32)
    painted = []
    for plane, more, level in zip(planes, added, matrix[:, 3].astype(np.float32), strict=True):
        share, addition = shown, _enlarged(more, box, region)
        if plane.shape != shown.shape:
            share, addition = halved(share), halved(addition)
        made = (plane - level) * share + (level + np.float32(0.5)) + addition
        painted.append(np.clip(made, 0, 255).astype(np.uint8))
    return painted


def _enlarged(rows: FloatPlane, box: Box, region: Region) -> FloatPlane:
    """Return generated rows of the crop of 96 pixels at the frame's size, over a region of it."""
    top, bottom, left, right = region
    y1, y2, x1, x2 = box.tolist()
    across, down = FACE_SIZE / (x2 - x1), FACE_SIZE / (y2 - y1)
    affine = np.array(
        [
            [across, 0, (left + 0.5 - x1) * across - 0.5],
            [0, down, (top + 0.5 - y1) * down - 0.5 - FIRST_ROW],
        ]
    )
    return np.asarray(
        cv2.warpAffine(
            rows,
            affine,
            (right - left, bottom - top),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )
