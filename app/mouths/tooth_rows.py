"""Teeth are not stretched with lips: the upper row stays on the skull, the lower one goes with the lower lip.

What lies between the two, dark or tongue, is stretched instead, from the line on which the fewest teeth are
seen.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.geometry import mapped
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame
from app.mouths.bending import Placing
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.seam import darkest_line
from app.mouths.types import Numbers

ROWS: Final = (0.1, 0.95)
STEPS: Final = 24
"""Between which shares of the height between the lips the line is looked for, and at how many places."""

REDNESS: Final = 2.0
"""How much a step of red takes off a step of light: tongue and gums are bright, but red; teeth are white."""

LEAST_OPEN, OPEN = 0.01, 0.03
"""Height between the lips, in distances of the outer eye corners, up to which no teeth are seen between them,
and from which all are."""

SOFT: Final = 0.006
"""Softness of the edges of what is held, in the same distances, and a pixel at least."""

_UPPER, _LOWER = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)

HalfField = npt.NDArray[np.float32]
"""float32 (rows / 2, columns / 2): how far a region is displaced one way, at every pixel of chroma."""


def between_teeth(layout: FrameLayout, frame: I420Frame, placing: Placing) -> Numbers:
    """Return where between the inner lips of a lender the rows of teeth part, at 11 points across, 0..1.

    ``frame`` is the lender's. 0 is the upper lip, 1 the lower one.
    """
    mesh = mapped(placing.laid - placing.turned, placing.head)
    shares = np.linspace(*ROWS, STEPS)
    places = mesh[_UPPER] + shares[:, None, None] * (mesh[_LOWER] - mesh[_UPPER])
    luma, _, red = layout.planes(frame)
    bright, reddish = (
        cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        for plane, (x, y) in (
            (luma, np.moveaxis(places.astype(np.float32), -1, 0)),
            (red, np.moveaxis((places / 2 - (0, 0.25)).astype(np.float32), -1, 0)),
        )
    )
    teeth = cv2.GaussianBlur(bright - np.float32(REDNESS) * reddish, (3, 3), 0)
    return shares[darkest_line(np.asarray(teeth, np.float32))]


@dataclass(frozen=True)
class HeldTeeth:
    """How teeth are held on one placed mouth."""

    placing: Placing
    parts: Numbers
    """float64 (11,): of :func:`between_teeth`."""
    corner: tuple[int, int]
    """Left and top of the region of the frame that the fields below are of; they have half its size."""

    def hold(self, across: HalfField, down: HalfField) -> None:
        """Change a bend, pixels of the lender at every second pixel of the frame, between the lips.

        There nothing moves down to where the rows part; from there everything does as the lower lip.
        """
        box = self._box(across.shape)
        if box is None:
            return
        top, bottom, left, right = box
        tables = self._tables(across, down)
        x = np.arange(left, right, dtype=np.float32) - self._origin[0]
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - self._origin[1]
        (a, b), (c, d) = self._axes.astype(np.float32).tolist()
        along, height = a * x + b * y, c * x + d * y
        upper, parted, lower, shift, open_ = (
            np.interp(along.ravel(), tables[0], row).reshape(along.shape).astype(np.float32)
            for row in tables[1:]
        )
        soft = self._soft
        inside = open_ * np.clip((height - upper) / soft + 0.5, 0, 1)
        inside *= np.clip((lower - height) / soft + 0.5, 0, 1)
        goes = np.clip((height - parted) / np.maximum(shift, soft), 0, 1) * shift
        way = -self.placing.head[:, :2] @ self._axes[1] * 2
        for plane, share in zip((across, down), way.tolist(), strict=True):
            part = plane[top:bottom, left:right]
            part += inside * (np.float32(share) * goes - part)

    def _tables(self, across: HalfField, down: HalfField) -> list[Numbers]:
        """Return numbers at 11 places along the mouth, after these.

        The heights of the upper lip, of where teeth part and of the lower lip, by how much that one was
        moved, and how open the mouth is.
        """
        laid_upper, laid_lower = self._half(self.placing.laid)
        upper, lower = self._half(self.placing.points)
        rises, falls = (self._shift(row, across, down) for row in (upper, lower))
        along = (laid_lower - self._origin) @ self._axes[0]
        high, low = ((row - self._origin) @ self._axes[1] for row in (laid_upper, laid_lower))
        eyes = self._eyes
        open_ = np.clip(((low - high) / eyes - LEAST_OPEN) / (OPEN - LEAST_OPEN), 0, 1)
        order = np.argsort(along)
        rows = (
            along,
            high + np.maximum(rises, 0),
            high + self.parts * (low - high),
            low + falls,
            falls,
            open_,
        )
        return [row[order] for row in rows]

    def _shift(self, places: Numbers, across: HalfField, down: HalfField) -> Numbers:
        """Return by how much what is at places (11, 2) was moved down the mouth, by a bend, half pixels."""
        x, y = places.astype(np.float32).T
        bend = [
            cv2.remap(one, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel()
            for one in (across, down)
        ]
        moved = -np.linalg.solve(self.placing.head[:, :2], np.array(bend, np.float64))
        shift: Numbers = self._axes[1] @ moved / 2
        return shift

    def _box(self, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
        points = np.concatenate([*self._half(self.placing.laid), *self._half(self.placing.points)])
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - 2, 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 3, shape[1::-1])
        return (int(low[1]), int(high[1]), int(low[0]), int(high[0])) if (high - low >= 2).all() else None

    def _half(self, points: FaceLandmarks) -> tuple[Numbers, Numbers]:
        """Return the inner rows of lips, (11, 2) each, in pixels of the fields."""
        places = (points - self.corner).astype(np.float64) / 2 - 0.25
        return places[_UPPER], places[_LOWER]

    @property
    def _origin(self) -> Numbers:
        origin: Numbers = self._half(self.placing.laid)[0][0]
        return origin

    @cached_property
    def _axes(self) -> Numbers:
        """Directions of length 1 along the mouth and down across it, (2, 2)."""
        upper, _ = self._half(self.placing.laid)
        along = upper[-1] - upper[0]
        along /= max(float(np.linalg.norm(along)), 1e-6)
        return np.array([along, (-along[1], along[0])])

    @cached_property
    def _eyes(self) -> float:
        laid = self.placing.laid
        return max(float(np.linalg.norm(laid[RIGHT_EYE] - laid[LEFT_EYE])) / 2, 1.0)

    @property
    def _soft(self) -> float:
        return max(1.0, SOFT * self._eyes)
