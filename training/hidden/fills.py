"""What things before a face look like: skin of other people, parts of pictures, plain colours."""

from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE
from training.hidden.faces import AlignedFaces

Picture = npt.NDArray[np.float32]
"""float32 (96, 96, 3): BGR, 0..255."""

_CHEEKS: Final = ((slice(26, 46), slice(14, 34)), (slice(26, 46), slice(62, 82)))
"""Where aligned faces show the skin of their cheeks."""
_LEAST_PART: Final = 60
"""Pixels of a picture that are shown at least."""


def skin(rng: np.random.Generator, faces: AlignedFaces) -> Picture:
    """Return skin of one of ``faces``, in another light."""
    rows, columns = _CHEEKS[rng.integers(2)]
    patch = faces[rng.integers(len(faces))][rows, columns]
    top, left = rng.integers(0, 8, 2)
    filled = cv2.resize(
        patch[top : top + 12, left : left + 12], (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC
    )
    lit = filled * np.float32(rng.uniform(0.6, 1.3)) + rng.normal(0, 6, 3).astype(np.float32)
    return _clipped(lit + smooth_noise(rng, rng.uniform(2, 25), rng.uniform(1, 6)))


def picture(rng: np.random.Generator) -> Picture:
    """Return a part of a photograph."""
    photograph = _photographs()[rng.integers(len(_photographs()))]
    height, width = photograph.shape[:2]
    side = int(rng.integers(_LEAST_PART, min(height, width)))
    top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
    part = photograph[top : top + side, left : left + side]
    resized = cv2.resize(part, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
    return _clipped(np.asarray(resized, np.float32))


def plain(rng: np.random.Generator, darkest: float = 0, brightest: float = 255) -> Picture:
    """Return one colour, lit from a side, with a little grain."""
    ramp = np.linspace(-1, 1, CROP_SIZE, dtype=np.float32)
    light = ramp[:, None] * rng.uniform(-50, 50) + ramp[None] * rng.uniform(-50, 50)
    grain = rng.standard_normal((CROP_SIZE, CROP_SIZE, 1), np.float32) * rng.uniform(0.1, 8)
    base = rng.uniform(darkest, brightest)
    color = np.clip(base + rng.normal(0, rng.choice([8.0, 60.0]), 3), 0, 255).astype(np.float32)
    return _clipped(color + light[..., None] * base / 255 + grain)


def smooth_noise(rng: np.random.Generator, amount: float, width: float) -> Picture:
    """Return gray noise (96, 96, 1) that is smooth over ``width`` pixels."""
    rough = rng.standard_normal((CROP_SIZE, CROP_SIZE), np.float32) * (amount * max(width, 1))
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), width)[..., None], np.float32)


@cache
def _photographs() -> tuple[npt.NDArray[np.uint8], ...]:
    """Return photographs that come with scikit-image, BGR: those without a face, which is no occluder."""
    from skimage import data

    loaded = (
        data.coffee(),
        data.chelsea(),
        data.rocket(),
        data.immunohistochemistry(),
        data.hubble_deep_field(),
    )
    return tuple(np.ascontiguousarray(picture[..., 2::-1]) for picture in loaded)


def _clipped(values: npt.NDArray[np.float64] | Picture) -> Picture:
    return np.clip(values, 0, 255).astype(np.float32)
