"""How much of the teeth a picture shows, which the outline of an open mouth does not tell.

Within the inner lips, teeth are as bright in blue as the cheeks; lips and tongue are darker there, and the
cavity is dark in every colour. The middle between the lips separates the upper row from the lower.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.mouths.lips import between
from app.mouths.looks import CHEEKS
from app.mouths.mesh import MeshPoints
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER

ShownTeeth = npt.NDArray[np.float32]
"""float32 (n, 2): area of the upper and of the lower teeth that show, in percent of the square of the eyes'
distance; 0 to about 3."""

BLUE_OF_TEETH: Final = (0.75, 1.1)
"""Blue over that of the cheeks: up to the first no pixel is teeth, between the two it counts in part.
Set by eye on 40 speakers' mouths."""
_PATCH: Final = 2
"""Pixels on each side of a cheek's point that are averaged."""
_DARKEST_CHEEK: Final = 8.0


def shown_teeth(crops: list[BgrImage], points: MeshPoints, aspect: float) -> ShownTeeth:
    """Measure the teeth in square crops that are squeezed by ``aspect``; ``points`` are their meshes."""
    shown = [
        _shown(crop, np.asarray(mesh[:, :2], np.float32) * crop.shape[0] - 0.5, aspect)
        for crop, mesh in zip(crops, points, strict=True)
    ]
    return np.array(shown, np.float32).reshape(-1, 2)


def _shown(crop: BgrImage, places: FaceLandmarks, aspect: float) -> tuple[float, float]:
    eyes = (places[RIGHT_EYE] - places[LEFT_EYE]) * (aspect, 1.0)
    percent = 100 * aspect / max(float(eyes @ eyes), 1.0)
    lips = places[[*UPPER_LIP_INNER, *LOWER_LIP_INNER]]
    low = np.clip(np.floor(lips.min(axis=0)).astype(int) - 1, 0, crop.shape[0] - 1)
    high = np.clip(np.ceil(lips.max(axis=0)).astype(int) + 2, low + 1, crop.shape[0])
    blue = crop[low[1] : high[1], low[0] : high[0], 0].astype(np.float32)
    least, most = BLUE_OF_TEETH
    bright = np.clip((blue / _cheek(crop, places) - least) / (most - least), 0, 1)
    upper, lower = np.split((lips - low).astype(np.float32), 2)
    middle: FaceLandmarks = ((upper + lower) / 2).astype(np.float32)
    above, below = (
        between(first, last, blue.shape).astype(np.float32) / np.float32(255)
        for first, last in ((upper, middle), (middle, lower))
    )
    return percent * float((bright * above).sum()), percent * float((bright * below).sum())


def _cheek(crop: BgrImage, places: FaceLandmarks) -> float:
    """Return the blue of the cheeks: the median over patches, so that hair and shadow do not count."""
    offsets = np.arange(-_PATCH, _PATCH + 1)
    middles = np.clip(np.round(places[list(CHEEKS)]), 0, crop.shape[0] - 1).astype(int)
    rows, columns = (np.clip(middles[:, axis, None] + offsets, 0, crop.shape[0] - 1) for axis in (1, 0))
    patches = crop[rows[:, :, None], columns[:, None, :], 0]
    means = np.sort(patches.mean(axis=(1, 2)))
    return max(float(means[2] + means[3]) / 2, _DARKEST_CHEEK)  # the median of six
