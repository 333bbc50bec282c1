"""Sizes and distances of face boxes; affine maps, applied and composed."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.faces.types import ExactBox
from app.media.frames import Affine, FrameLayout

SMALL_FACE: Final = 0.125
"""Size of a face, as a share of the frame's shorter side, below which a 192-pixel view may miss it."""

UNMOVED, UNMOVED_RATIO = 0.3, 1.3
"""Distance in face sizes, and change of size, up to which a face on both sides of a cut is the same."""


def extent(box: ExactBox) -> float:
    """Return the side of a square of the box's area, pixels."""
    return float(np.sqrt((box[1] - box[0]) * (box[3] - box[2])))


def distance(box: ExactBox, other: ExactBox) -> float:
    """Return the distance between two boxes' centres, in their mean size."""
    dy, dx = box[:2].mean() - other[:2].mean(), box[2:].mean() - other[2:].mean()
    return float(np.hypot(dx, dy) * 2 / (extent(box) + extent(other)))


def same_place(box: ExactBox, other: ExactBox, *, within: float, size_ratio: float) -> bool:
    """Tell whether two boxes are at most ``within`` sizes apart and differ at most by ``size_ratio``."""
    ratio = extent(box) / extent(other)
    return distance(box, other) < within and 1 / size_ratio < ratio < size_ratio


def is_large(box: ExactBox, layout: FrameLayout) -> bool:
    """Tell whether a face is large enough to be found in the frame as a whole."""
    return extent(box) >= SMALL_FACE * min(layout.width, layout.height)


def mapped(points: npt.NDArray[np.floating[Any]], affine: Affine) -> npt.NDArray[np.float64]:
    """Return where an affine map, (2, 3), takes points (k, 2)."""
    there: npt.NDArray[np.float64] = points @ affine[:, :2].T + affine[:, 2]
    return there


def composed(after: Affine, before: Affine) -> Affine:
    """Return the map, (2, 3), that first does what ``before`` does, then what ``after`` does."""
    both: Affine = after[:, :2] @ before
    both[:, 2] += after[:, 2]
    return both
