"""How a mouth looks in its upright picture: lip colour, the skin around it, sharpness, and a small patch."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.media.frames import BgrImage
from app.mouths.lips import between
from app.mouths.points import LOWER_LIP_INNER, LOWER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_OUTER
from app.mouths.upright import Points

Skin = npt.NDArray[np.float32]
"""float32 (3,) or (n, 3): mean blue, green, red of the cheeks, 0..255."""

Patch = npt.NDArray[np.uint8]
"""uint8 (18, 26, 3) or (n, 18, 26, 3): the mouth, small, BGR; the same place of the head in every frame."""

CHEEKS: Final = (50, 280, 205, 425, 101, 330)
"""Face Mesh points on the cheeks that neither beards nor folds of the mouth reach."""

_CHEEK_PIXELS: Final = 3
LIPS: Final = (*UPPER_LIP_OUTER, *reversed(LOWER_LIP_OUTER[1:-1]))
"""Face Mesh points around the lips."""

_PATCH_ROWS, _PATCH_COLUMNS = slice(72, 180), slice(40, 152)
PATCH_SIZE: Final = (26, 18)
"""Width and height of a patch, pixels."""

_ABOVE_MOUTH, _BESIDE_MOUTH = slice(0, 1), (slice(1, None), np.r_[0:5, 21:26])
"""Rows, and rows and columns, of a patch that no mouth reaches however far it opens. The lower ones show what
is beside a chin: fingertips there were lent to a frame without a hand."""

_DARK: Final = 16.0
"""Steps of 255 that are added before logarithms: what is nearly black differs by noise."""

_SURROUNDINGS: Final = 7
"""Pixels about the lips that count as the skin they are compared with."""

_MIDDLE: Final = slice(2, 9)
"""The middle of a row of lip points."""

NOSE: Final = (205, 425, 195, 98, 327, 101, 330)
"""Face Mesh points around the nose and what is beside it, which speech does not move."""

_FINE, _COARSE = 2, 4
"""Sizes of detail, pixels: what blurring takes, though grain has less of it, and what outlasts it."""

_SUM: Final = np.ones((1, 3), np.float32)

MET: Final = 3.0
"""How much is seen between lips that meet, at most, by :func:`parting`. They show less red than lips that
part, which turn it outward, so that either kind is compared with its own."""

_OF_LIPS: Final = (8.0, 18.0)
"""Delta E from a lip's colour up to which a pixel is of it, and from which it is none of it."""


def skin_of(picture: BgrImage, points: Points) -> Skin:
    """Return the colour of the cheeks at ``points``, (468, 2): the median over patches of them."""
    offsets = np.arange(-_CHEEK_PIXELS, _CHEEK_PIXELS + 1)
    places = np.clip(np.rint(points[list(CHEEKS)]), 0, len(picture) - 1).astype(int)
    rows, columns = (np.clip(places[:, axis, None] + offsets, 0, len(picture) - 1) for axis in (1, 0))
    patches = picture[rows[:, :, None], columns[:, None, :]]
    means = np.sort(patches.mean(axis=(1, 2)), axis=0)
    return np.asarray((means[2] + means[3]) / 2, np.float32)  # the median of six


def colourfulness(skin: Skin) -> npt.NDArray[np.float64]:
    """Return how far the colours of skins, (..., 3), are from grey: 0 for grey, about 0.5 usually."""
    color = skin.astype(np.float64)
    far: npt.NDArray[np.float64] = (color.max(axis=-1) - color.min(axis=-1)) / np.maximum(
        color.mean(axis=-1), 1.0
    )
    return far


def redness(picture: BgrImage, points: Points) -> float:
    """Return how much red of the lips is seen: the area of the lips, weighted by how much redder they are.

    Lips that are pressed in hardly show, which the mesh does not see: it draws lips where they should be.
    In percent of the square of the eyes' distance.
    """
    line = points[list(LIPS)]
    low = np.clip(np.floor(line.min(axis=0)).astype(int) - _SURROUNDINGS - 1, 0, len(picture))
    high = np.clip(np.ceil(line.max(axis=0)).astype(int) + _SURROUNDINGS + 2, 0, len(picture))
    if (high <= low).any():
        return 0.0
    blue, green, red = cv2.split(picture[low[1] : high[1], low[0] : high[0]])
    inside = np.zeros(red.shape, np.uint8)
    cv2.fillPoly(inside, [np.rint((line - low) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    around = cv2.dilate(inside, np.ones((2 * _SURROUNDINGS + 1,) * 2, np.uint8))
    tone = cv2.subtract(red, green, dtype=cv2.CV_32F) / (cv2.add(blue, green, dtype=cv2.CV_32F) + red + 30)
    lips, skin = inside > 0, (around > 0) & (inside == 0)
    if not lips.any() or not skin.any():
        return 0.0
    redder = np.clip(tone[lips] - np.median(tone[skin]), 0, None)
    return float(100 * redder.sum() / (len(picture) / 2) ** 2)


def lips_within(meshes: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Tell of meshes (..., 468, 3) whether all their lips are in a picture of a (width, height) ``size``."""
    lips = meshes[..., list(LIPS), :2]
    within: npt.NDArray[np.bool_] = np.asarray(((lips > 0) & (lips < size)).all(axis=(-2, -1)))
    return within


def parting(picture: BgrImage, points: Points) -> float:
    """Return how high that stands between the lips, on average, which has the colour of neither.

    Teeth and the dark of a mouth do; the line along which lips meet is 0.5 to 3.5 high. In percent of the
    eyes' distance, over the middle of the mouth.
    """
    top, upper, lower, bottom = (
        points[np.array(row)[_MIDDLE]]
        for row in (UPPER_LIP_OUTER, UPPER_LIP_INNER, LOWER_LIP_INNER, LOWER_LIP_OUTER)
    )
    lips = np.concatenate([top, upper, lower, bottom])
    low = np.clip(np.floor(lips.min(axis=0)).astype(int) - 1, 0, len(picture))
    high = np.clip(np.ceil(lips.max(axis=0)).astype(int) + 2, 0, len(picture))
    if (high - low < 2).any():
        return 0.0
    part = picture[low[1] : high[1], low[0] : high[0]]
    lab = np.asarray(cv2.cvtColor(part.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2LAB), np.float32)
    apart = np.full(part.shape[:2], np.inf, np.float32)
    for first, last in ((top, (top + upper) / 2), ((lower + bottom) / 2, bottom)):
        lip = between(first - low, last - low, part.shape)
        square = cv2.transform(np.square(lab - np.array(cv2.mean(lab, lip)[:3], np.float32)), _SUM)
        apart = np.minimum(apart, cv2.sqrt(square)) if lip.any() else apart
    strange = np.clip((apart - _OF_LIPS[0]) * np.float32(1 / (_OF_LIPS[1] - _OF_LIPS[0])), 0, 1)
    area = float((strange * between(upper - low, lower - low, part.shape)).sum()) / 255
    width = max(float(np.linalg.norm(upper[-1] - upper[0])), 1.0)
    return 100 * area / width / (len(picture) / 2)


def sharpness(picture: BgrImage, points: Points) -> float:
    """Return how sharp the skin about the nose is: the logarithm of its fine over its coarse detail.

    Blurring of one pixel (Gaussian) takes 0.17 to 0.31 from it, of five to a side, as of a head in motion,
    0.12 to 0.30, half of the light 0.01 to 0.05; from frame to frame it differs by 0.006 to 0.015. 0 where
    nothing is seen.
    """
    around = points[list(NOSE)]
    low = np.clip(np.rint(around.min(axis=0)).astype(int), 0, len(picture))
    high = np.clip(np.rint(around.max(axis=0)).astype(int) + 1, 0, len(picture))
    if (high - low <= 2 * _COARSE).any():
        return 0.0
    part = picture[low[1] : high[1], low[0] : high[0]]
    luma = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.float32)
    fine, coarse = _detail(luma, _FINE), _detail(luma, _COARSE)
    return float(np.log(fine / coarse)) if fine and coarse else 0.0


def _detail(luma: npt.NDArray[np.float32], size: int) -> float:
    """Return how far pixels are from the mean of two that lie ``size`` aside, across and down, doubled."""
    across = luma[:, 2 * size :] - 2 * luma[:, size:-size] + luma[:, : -2 * size]
    down = luma[2 * size :] - 2 * luma[size:-size] + luma[: -2 * size]
    return float(np.abs(across).mean() + np.abs(down).mean())


def surroundings(patches: Patch) -> npt.NDArray[np.float32]:
    """Return what is seen about the mouths of patches (n, 18, 26, 3), whatever the light: (n, k).

    The square of the distance between two is the mean square by which logarithms of their pixels differ, but
    for a gain of each channel: 0.1 to 0.2 apart are heads turned alike in the same light, 0.4 and more are
    those of which one alone has a hand, a microphone or a shadow beside the mouth.
    """
    above = patches[:, _ABOVE_MOUTH].reshape(len(patches), -1, 3)
    rows, columns = _BESIDE_MOUTH
    beside = patches[:, rows, columns].reshape(len(patches), -1, 3)
    seen = np.concatenate([above, beside], axis=1).astype(np.float32)
    seen += np.float32(_DARK)
    np.log(seen, out=seen)
    seen -= seen.mean(axis=1, keepdims=True)
    seen /= np.float32(np.sqrt(seen[0].size))
    return seen.reshape(len(patches), -1)


def patch_of(picture: BgrImage) -> Patch:
    """Return the mouth of an upright picture, small."""
    return np.asarray(
        cv2.resize(picture[_PATCH_ROWS, _PATCH_COLUMNS], PATCH_SIZE, interpolation=cv2.INTER_AREA), np.uint8
    )
