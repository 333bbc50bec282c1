"""Where shut lips meet in a picture: along a dark line, which a face mesh misses by some pixels.

Lips that are bent apart along the mesh's line would take the real one with them, as a dark rim on one lip.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceLandmarks
from app.media.frames import Plane
from app.mouths.points import LOWER_LIP_INNER, LOWER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_OUTER

REACH: Final = 0.7
"""How far into each lip the line is looked for, in the lip's thickness."""

STEPS: Final = 25
"""Places down each column at which it is looked for."""

COLUMNS_BETWEEN: Final = 4
"""Columns from one inner point of the lips to the next."""

AWAY: Final = 0.25
BENDING: Final = 0.6
"""What it costs, in the deviation of the columns' brightness, to lie at the end of the reach, and to go up or
down by a tenth of the column from one column to the next, by the square. Set by eye."""


def seam_of(luma: Plane, mesh: FaceLandmarks) -> FaceLandmarks:
    """Return a ``mesh`` (468, 2) whose lips, which are shut, meet where ``luma`` shows that they do."""
    upper, lower = (_between(mesh[list(row)]) for row in (UPPER_LIP_INNER, LOWER_LIP_INNER))
    above, below = (_between(mesh[list(row)]) for row in (UPPER_LIP_OUTER, LOWER_LIP_OUTER))
    middle, down = (upper + lower) / 2, _down(mesh)
    thickness = [
        max(float(((low - high) @ down).max()), 0.0) for high, low in ((above, middle), (middle, below))
    ]
    share = np.linspace(-REACH, REACH, STEPS)
    steps = share * np.where(share < 0, *thickness)
    places = (middle + steps[:, None, None] * down).astype(np.float32)
    profile = cv2.remap(
        luma, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    smooth = cv2.GaussianBlur(profile.astype(np.float32), (5, 3), 0)
    moves = steps[darkest_line(np.asarray(smooth, np.float32)), None][::COLUMNS_BETWEEN] * down
    result = mesh.copy()
    for row in (UPPER_LIP_INNER, LOWER_LIP_INNER):
        result[list(row)] = middle[::COLUMNS_BETWEEN] + moves
    for end in (0, -1):
        result[UPPER_LIP_OUTER[end]] += moves[end].astype(np.float32)
    return result


def darkest_line(profile: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the row of the darkest line across columns of brightness, near the middle and smooth."""
    rows = np.linspace(-1, 1, len(profile))
    cost = profile / max(float(profile.std()), 1.0) + AWAY * np.square(rows)[:, None]
    change = BENDING * np.square((rows[:, None] - rows) / 0.2)
    total, came = cost[:, 0], []
    for column in cost.T[1:]:
        ways = total[:, None] + change
        best = ways.argmin(axis=0)
        came.append(best)
        total = ways[best, np.arange(len(rows))] + column
    path = [int(total.argmin())]
    for best in reversed(came):
        path.append(int(best[path[-1]]))
    return np.array(path[::-1])


def _between(points: FaceLandmarks) -> npt.NDArray[np.float64]:
    """Return a row of points (11, 2) with others between them."""
    count = (len(points) - 1) * COLUMNS_BETWEEN + 1
    places = np.arange(count) / COLUMNS_BETWEEN
    known = np.arange(len(points))
    return np.column_stack([np.interp(places, known, points[:, axis]) for axis in (0, 1)])


def _down(mesh: FaceLandmarks) -> npt.NDArray[np.float64]:
    eyes = (mesh[LEFT_EYE] - mesh[RIGHT_EYE]).astype(np.float64)
    along = eyes / max(float(np.hypot(*eyes)), 1e-6)
    return np.array([-along[1], along[0]])
