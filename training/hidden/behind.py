"""What is behind a face, its neck and shoulders or a thing: it hides nothing, though skin is like a hand."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.boxes import CHIN
from app.faces.hidden import CROP_SIZE
from app.faces.types import FaceLandmarks
from training.hidden.fills import Picture
from training.hidden.occluders import Occluder

_JAW_SHADOW: Final = 0.6
"""How dark the shadow of a jaw is at most."""


def body(rng: np.random.Generator, points: FaceLandmarks, shown: Picture) -> Occluder:
    """Return a bare neck and shoulders, whose skin is ``shown``, below a face whose mesh is ``points``."""
    shape = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    x, y = points[CHIN] + rng.normal(0, 4, 2)
    neck, shoulders = rng.uniform(10, 28), rng.uniform(30, 90)
    base, slope = y + rng.uniform(2, 26), rng.uniform(0, 16)
    right = [(x + neck, y - 25), (x + neck * rng.uniform(0.9, 1.2), base), (x + shoulders, base + slope)]
    left = [(x - neck, y - 25), (x - neck * rng.uniform(0.9, 1.2), base), (x - shoulders, base + slope)]
    ends = [(x + shoulders, 2 * CROP_SIZE), (x - shoulders, 2 * CROP_SIZE)]
    cv2.fillPoly(shape, [np.rint([*right, *ends, *left[::-1]]).astype(np.int32)], 1)
    return Occluder(shape, shown)


def laid_behind(
    rng: np.random.Generator,
    face: Picture,
    points: FaceLandmarks,
    thing: Occluder,
    edge_blur: tuple[float, float],
) -> Picture:
    """Return the face before the thing, on which its jaw mostly throws a shadow."""
    outline = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    cv2.fillPoly(outline, [np.rint(cv2.convexHull(points)).astype(np.int32)], 1)
    seen = _soft(thing.shape * (1 - outline), rng.uniform(*edge_blur))
    thrown = _soft(np.roll(outline, int(rng.integers(0, 12)), 0), rng.uniform(1, 6))
    shadow = 1 - rng.uniform(0, _JAW_SHADOW) * thrown[..., None]
    return np.asarray(face * (1 - seen[..., None]) + thing.shown * shadow * seen[..., None], np.float32)


def _soft(shape: npt.NDArray[np.uint8], blur: float) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(shape.astype(np.float32), (0, 0), blur), np.float32)
