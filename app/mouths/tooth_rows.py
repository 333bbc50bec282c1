"""Teeth are not stretched with lips: the upper row stays on the skull, the lower one goes with the lower lip.

What lies between the two, dark or tongue, is stretched instead. It is found about the line on which the
fewest teeth are seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, hypot
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.head import eyes_apart
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

LEAST_TOOTH, EDGE = 25.0, 0.35
"""By how much lighter, and less red, than between the rows a tooth is, in steps of 255; and the share of that
from which a tooth begins."""

MOST_UNEVEN: Final = 0.15
"""How far the line may lie above or below its median: between clenched teeth it is hardly seen."""

_SMOOTH: Final = (0.25, 0.5, 0.25)

LEAST_OPEN, OPEN = 0.01, 0.03
"""Height between the lips, in distances of the outer eye corners, up to which no teeth are seen between them,
and from which all are."""

SOFT: Final = 0.006
"""Softness of the edges of what is held, in the same distances, and a pixel at least."""

_FINE: Final = 128
"""Places along the mouth at which numbers are known that every pixel has the nearest of."""

_SHARES: Final = np.linspace(0, 1, _FINE)

_UPPER, _LOWER = np.array(UPPER_LIP_INNER), np.array(LOWER_LIP_INNER)
_BOTH: Final = np.concatenate([_UPPER, _LOWER])

HalfField = npt.NDArray[np.float32]
"""float32 (rows / 2, columns / 2): how far a region is displaced one way, at every pixel of chroma."""


def between_teeth(layout: FrameLayout, frame: I420Frame, mesh: FaceLandmarks) -> Numbers:
    """Return where between the lips of a ``mesh`` the upper teeth end and the lower ones begin, (2, 11).

    At 11 points across; 0 is the upper lip, 1 the lower one. ``frame`` is that of the mesh (468, 2). Where a
    row is not seen, that is at its lip.
    """
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
    parts = _even(shares[darkest_line(np.asarray(teeth, np.float32))])
    lines = np.rint(np.interp(parts, shares, np.arange(STEPS))).astype(int).tolist()
    columns = list(zip(teeth.T, lines, strict=True))
    above = [shares[line] - _free(column[line::-1]) for column, line in columns]
    below = [shares[line] + _free(column[line:]) for column, line in columns]
    return np.array([_even(np.array(above)), _even(np.array(below))])


def _even(line: Numbers) -> Numbers:
    """Return a line across the mouth, (11,), smooth and near its median: see :data:`MOST_UNEVEN`."""
    middle = float(np.median(line))
    smooth = np.convolve(np.pad(line, 1, mode="edge"), _SMOOTH, "valid")
    even: Numbers = np.clip(smooth, middle - MOST_UNEVEN, middle + MOST_UNEVEN)
    return even


def _free(teeth: npt.NDArray[np.float32]) -> float:
    """Return how far from the first of some places there is no tooth: to the lip, 1, if none is seen."""
    rise = teeth - teeth[0]
    most = float(rise.max())
    if most < LEAST_TOOTH:
        return 1.0
    return float(np.argmax(rise > EDGE * most)) * (ROWS[1] - ROWS[0]) / (STEPS - 1)


@dataclass(frozen=True)
class HeldTeeth:
    """How teeth are held on one placed mouth."""

    placing: Placing
    parts: Numbers
    """float64 (2, 11): of :func:`between_teeth`."""
    corner: tuple[int, int]
    """Left and top of the region of the frame that the fields below are of; they have half its size."""

    def hold(self, across: HalfField, down: HalfField) -> None:
        """Change a bend, pixels of the lender at every second pixel of the frame, between the lips.

        There the upper teeth stay, the lower ones go as their lip does, and what is between is stretched.
        """
        laid = self._in_field(self.placing.laid)
        eyes = max(eyes_apart(self.placing.laid), 1.0) / 2  # in pixels of the fields, as all here
        axes = _axes(laid)
        high, low = ((laid - laid[0]) @ axes[1]).reshape(2, -1)
        openness = ((low - high) / eyes - LEAST_OPEN) / (OPEN - LEAST_OPEN)
        if openness.max() <= 0:
            return
        points = self._in_field(self.placing.points)
        box = _box(np.concatenate([laid, points]), across.shape)
        if box is None:
            return
        top, bottom, left, right = box
        parts = [plane[top:bottom, left:right] for plane in (across, down)]
        rises, falls = self._bends(parts, points - (left, top), axes[1])
        above, below = high + self.parts.clip(0, 1) * (low - high)
        soft = max(1.0, SOFT * eyes)
        edges = np.array([high + np.maximum(rises, 0), low + falls]) / soft + ((-0.5,), (0.5,))
        known = np.array([*edges, above, below - above, falls, openness.clip(0, 1)])
        along = (laid[len(_UPPER) :] - laid[0]) @ axes[0]
        place, height = _places(box, laid[0], axes, (float(along.min()), float(along.max())))
        upper, lower, parted, between, shift, open_ = _profiles(known, along).take(place, axis=1, mode="clip")
        heights = height / np.float32(soft)
        inside = open_ * (heights - upper).clip(0, 1) * (lower - heights).clip(0, 1)
        goes = ((height - parted) / np.maximum(between + shift, np.float32(soft))).clip(0, 1) * shift
        way = self.placing.head[:, :2] @ axes[1] * -2
        for part, share in zip(parts, way.tolist(), strict=True):
            part += inside * (np.float32(share) * goes - part)

    def _in_field(self, mesh: FaceLandmarks) -> Numbers:
        """Return where the rows of lips of a mesh lie in the fields, (22, 2)."""
        places: Numbers = (mesh[_BOTH].astype(np.float64) - self.corner) / 2 - 0.25
        return places

    def _bends(self, parts: Sequence[HalfField], points: Numbers, below: Numbers) -> Numbers:
        """Return how far a bend moves ``points`` (22, 2) of its two ``parts`` along ``below``, (2, 11)."""
        x, y = points.astype(np.float32).T
        bend = cv2.remap(cv2.merge(parts), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        to_frame = cv2.invertAffineTransform(self.placing.head)[:, :2] / -2
        bends: Numbers = (bend.reshape(-1, 2) @ (below @ to_frame)).reshape(2, -1)
        return bends


def _profiles(known: Numbers, along: Numbers) -> npt.NDArray[np.float32]:
    """Return numbers that are ``known`` (k, 11) at points ``along`` a mouth at :data:`_FINE` places."""
    order = np.argsort(along)
    along = along[order]
    fine = along[0] + _SHARES * (along[-1] - along[0])
    return np.array([np.interp(fine, along, row) for row in known[:, order]], np.float32)


def _axes(rows: Numbers) -> Numbers:
    """Return directions of length 1 along a mouth with these rows of lips (22, 2), and down across it."""
    along = rows[10] - rows[0]
    along = along / max(hypot(*along.tolist()), 1e-6)
    return np.array([along, (-along[1], along[0])])


def _box(points: Numbers, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return top, bottom, left, right of points (k, 2) in a field of a ``shape``; None outside of it."""
    (first, top), (last, low) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    left, top = max(floor(first) - 2, 0), max(floor(top) - 2, 0)
    right, bottom = min(ceil(last) + 3, shape[1]), min(ceil(low) + 3, shape[0])
    return (top, bottom, left, right) if bottom - top >= 2 and right - left >= 2 else None


def _places(
    box: tuple[int, int, int, int], origin: Numbers, axes: Numbers, ends: tuple[float, float]
) -> tuple[npt.NDArray[np.int32], HalfField]:
    """Return where along the mouth each pixel of a box lies, and how far down.

    Between the ``ends`` places are 0 to :data:`_FINE` - 1.
    """
    top, bottom, left, right = box
    x = np.arange(left, right, dtype=np.float32) - np.float32(origin[0])
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(origin[1])
    (a, b), (c, d) = axes.tolist()
    scale = (_FINE - 1) / max(ends[1] - ends[0], 1e-6)
    place = x * (a * scale) + (y * (b * scale) + (0.5 - ends[0] * scale))
    return place.astype(np.int32), x * c + y * d
