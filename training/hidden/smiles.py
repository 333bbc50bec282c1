"""Makes faces smile, teeth and lipstick included: what a mouth may look like that nothing hides."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE
from app.faces.types import FaceLandmarks
from app.mouths.points import LOWER_LIP_INNER, LOWER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_OUTER
from training.hidden.faces import CropPoints
from training.hidden.fills import Picture, smooth_noise

_RIGHT_CORNER, _LEFT_CORNER = UPPER_LIP_OUTER[0], UPPER_LIP_OUTER[-1]
_UPPER_LIP, _LOWER_LIP = 13, 14
_WIDE, _OPEN = 31.0, 2.0
"""Pixels of a crop from which a mouth is wide (of 48 between the eyes), and open."""
_WIDENED, _RAISED = (0.0, 0.3), (-0.05, 0.25)
"""How far corners go out and up, in half widths of the mouth."""
_REACH: Final = 0.7
"""Deviation of the skin that goes with a corner, in half widths of the mouth."""
_PARTED: Final = (0.05, 0.55)
"""How far lips part in their middle, in half widths of the mouth."""
_JAW_REACH: Final = 14.0
"""Pixels below the lips over which what the lower lip does fades away."""
_TEETH: Final = (4.0, 7.0)
"""How many teeth a half width of the mouth shows."""
_GUM: Final = np.array([90, 90, 165], np.float32)
_LIPSTICKS: Final = np.array(
    [[40, 30, 190], [90, 60, 205], [60, 40, 110], [150, 150, 215]],
    np.float32,
)
"""BGR: red, pink, wine and pale lips."""

_ROWS, _COLUMNS = np.mgrid[:CROP_SIZE, :CROP_SIZE].astype(np.float32)


def smile_frames(points: CropPoints) -> npt.NDArray[np.intp]:
    """Return the frames (m,) of somebody's footage in which a wide mouth shows what is between its lips.

    Turned heads, whose mouths look narrow, are passed over.
    """
    width = np.hypot(*(points[:, _LEFT_CORNER] - points[:, _RIGHT_CORNER]).T)
    opening = np.hypot(*(points[:, _LOWER_LIP] - points[:, _UPPER_LIP]).T)
    return np.flatnonzero((width >= _WIDE) & (opening >= _OPEN))


def smiling(rng: np.random.Generator, face: Picture, points: FaceLandmarks) -> tuple[Picture, FaceLandmarks]:
    """Return the face with a wider mouth whose lips are parted over teeth, and its points."""
    half = _half_width(points)
    if half < 1:
        return face, points
    widened, moved = _widened(face, points, half * rng.uniform(*_WIDENED), half * rng.uniform(*_RAISED))
    return _parted(rng, widened, moved, half * float(rng.uniform(*_PARTED)))


def painted_lips(rng: np.random.Generator, face: Picture, points: FaceLandmarks) -> Picture:
    """Return the face with lipstick: what lies between the lips stays as it is."""
    lips = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    for outer, inner in ((UPPER_LIP_OUTER, UPPER_LIP_INNER), (LOWER_LIP_OUTER, LOWER_LIP_INNER)):
        cv2.fillPoly(lips, [np.rint(points[[*outer, *inner[::-1]]]).astype(np.int32)], 1)
    amount = cv2.GaussianBlur(lips.astype(np.float32), (0, 0), rng.uniform(0.5, 1.0)) * rng.uniform(0.3, 0.9)
    light = face.mean(axis=2)
    usual = max(float(np.median(light[lips > 0])) if lips.any() else 0.0, 20.0)
    color = _LIPSTICKS[rng.integers(len(_LIPSTICKS))] * rng.uniform(0.6, 1.1)
    shown = np.clip(color * (light / usual)[..., None], 0, 255)
    return np.asarray(face * (1 - amount[..., None]) + shown * amount[..., None], np.float32)


def _half_width(points: FaceLandmarks) -> float:
    return float(np.hypot(*(points[_LEFT_CORNER] - points[_RIGHT_CORNER]))) / 2


def _widened(face: Picture, points: FaceLandmarks, out: float, up: float) -> tuple[Picture, FaceLandmarks]:
    """Move both corners of the mouth, and the skin around them, by so many pixels."""
    deviation = _REACH * _half_width(points)
    across = points[_LEFT_CORNER] - points[_RIGHT_CORNER]
    along = across / np.hypot(*across)
    raised = np.array([along[1], -along[0]], np.float32) * up
    moved, back_x, back_y = points.copy(), _COLUMNS.copy(), _ROWS.copy()
    for corner, way in ((_RIGHT_CORNER, raised - along * out), (_LEFT_CORNER, raised + along * out)):
        x, y = points[corner]
        moved += way * _near(points[:, 0] - x, points[:, 1] - y, deviation)[:, None]
        weights = _near(_COLUMNS - x - way[0], _ROWS - y - way[1], deviation)
        back_x -= way[0] * weights
        back_y -= way[1] * weights
    return _sampled(face, back_x, back_y), moved.astype(np.float32)


def _parted(
    rng: np.random.Generator, face: Picture, points: FaceLandmarks, opening: float
) -> tuple[Picture, FaceLandmarks]:
    """Lower the lower lip by ``opening`` pixels, with the chin, and show teeth between the lips."""
    upper, lower = points[list(UPPER_LIP_INNER)], points[list(LOWER_LIP_INNER)]
    left, right = float(upper[0, 0]), float(upper[-1, 0])
    columns = _COLUMNS[0]
    top = np.interp(columns, *_rising(upper)).astype(np.float32)
    bottom = np.maximum(np.interp(columns, *_rising(lower)).astype(np.float32), top)
    place = (2 * columns - left - right) / max(right - left, 1.0)
    inside = np.clip(1 - np.square(place), 0, 1)
    drop = opening * inside ** rng.uniform(0.4, 0.9)
    below = _ROWS - (bottom + drop)
    source = np.where(below >= 0, _ROWS - drop * np.exp(-np.maximum(below, 0) / _JAW_REACH), _ROWS)
    lowered = _sampled(face, _COLUMNS, source)
    gap = (top <= _ROWS) & (below < 0) & (inside > 0)
    soft = cv2.GaussianBlur(gap.astype(np.float32), (0, 0), rng.uniform(0.4, 0.8))[..., None]
    height = (_ROWS - top) / np.maximum(bottom + drop - top, 1.0)
    shown = _between_lips(rng, lowered, place, height)
    return np.asarray(lowered * (1 - soft) + shown * soft, np.float32), _lowered(points, columns, drop)


def _between_lips(
    rng: np.random.Generator,
    face: Picture,
    place: npt.NDArray[np.float32],
    height: npt.NDArray[np.float32],
) -> Picture:
    """Return teeth over a dark cavity; ``place`` runs from -1 to 1 across, ``height`` from 0 to 1 down."""
    bright = float(np.percentile(face[30:70, 24:72], 85)) * rng.uniform(0.6, 1.25)
    white = np.array([rng.uniform(0.75, 1.0), rng.uniform(0.9, 1.0), 1.0], np.float32) * min(bright, 255.0)
    rounded = np.sin(0.5 * np.pi * np.clip(place, -1, 1))
    between = np.abs(np.sin(np.pi * rng.uniform(*_TEETH) * rounded + rng.uniform(0, np.pi))) < 0.2
    shade = (1 - rng.uniform(0, 0.3) * between) * (1 - rng.uniform(0.1, 0.7) * np.square(place))
    teeth = white * shade[None, :, None]
    dark = np.array([0.8, 0.8, 1.2], np.float32) * rng.uniform(5, 70)
    length = rng.uniform(0.4, 1.3)
    shown = np.where((height < length)[..., None], teeth, dark)
    if rng.random() < 0.3:
        lower_teeth = (height > rng.uniform(0.6, 0.95))[..., None]
        shown = np.where(lower_teeth, teeth * rng.uniform(0.6, 0.95), shown)
    if rng.random() < 0.25:
        gum = (height < rng.uniform(0.1, 0.35))[..., None]
        shown = np.where(gum, _GUM * min(bright, 255.0) / 200, shown)
    blurred = cv2.GaussianBlur(shown, (0, 0), rng.uniform(0.5, 1.0))
    noisy = blurred + smooth_noise(rng, rng.uniform(0, 6), 0.8)
    return np.asarray(np.clip(noisy, 0, 255), np.float32)


def _lowered(
    points: FaceLandmarks, columns: npt.NDArray[np.float32], drop: npt.NDArray[np.float32]
) -> FaceLandmarks:
    """Return the points with the lower lip and what is below it where it went."""
    moved = points.copy()
    chosen = list({*LOWER_LIP_INNER, *LOWER_LIP_OUTER} - {*UPPER_LIP_INNER, *UPPER_LIP_OUTER})
    moved[chosen, 1] += np.interp(points[chosen, 0], columns, drop)
    return moved


def _rising(row: FaceLandmarks) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return x and y of a row of points, sorted by x: turned heads fold them."""
    order = np.argsort(row[:, 0], kind="stable")
    return row[order, 0], row[order, 1]


def _near(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], deviation: float
) -> npt.NDArray[np.float32]:
    return np.asarray(np.exp(-(np.square(x) + np.square(y)) / (2 * deviation**2)), np.float32)


def _sampled(face: Picture, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> Picture:
    x, y = x.astype(np.float32), y.astype(np.float32)
    moved = cv2.remap(face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
