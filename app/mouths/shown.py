"""What a picture shows between resting lips, and may go on showing when they part further.

Teeth of a smile and the dark of a mouth that stands open are this person's own: they stay where they are on
the skull, and only what opens beyond them is drawn. A slit shows neither.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame
from app.mouths.inside import Tooth
from app.mouths.lips import PixelMap, between_lips, head_millimetre
from app.mouths.looks import Skin
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.teeth import BLUE_OF_TEETH

_OPEN: Final = (3.0, 4.5)
"""Millimetres by which lips are parted: up to the first it is a slit that shows, from the second what shows
stays."""

_TEETH_SHARE: Final = (0.15, 0.45)
"""Share of what shows between the lips that is teeth: none stay up to the first, all from the second."""

_PALE: Final = (0.5, 0.85)
_BRIGHT: Final = (0.5, 0.75)
"""How red teeth are, over the skin, at most: fully, in part; and how bright, over the skin, in part, fully.
Where light is warm or skin is lit to the utmost, teeth are less blue than cheeks, but never as red."""

_LEAST_RED: Final = 0.03
"""Redness of skin from which that of teeth can be told from it: in grey pictures all is alike."""

_LEAST_TEETH: Final = 12.0
"""Square millimetres of teeth whose colour is the person's: about a third of an incisor."""


@dataclass(frozen=True)
class ShownInside:
    """What one frame shows between its lips."""

    kept: float
    """How far it stays, 0..1."""
    tooth: Tooth | None
    """The colour of the teeth that show; None if none do."""


NOTHING_SHOWN: Final = ShownInside(0.0, None)


def shown_inside(layout: FrameLayout, frame: I420Frame, mesh: FaceLandmarks, skin: Skin) -> ShownInside:
    """Look between the lips of ``mesh`` (468, 2) in a frame whose cheeks are ``skin``."""
    upper, lower = mesh[list(UPPER_LIP_INNER)], mesh[list(LOWER_LIP_INNER)]
    lips = np.concatenate([upper, lower])
    left, top = (int(edge) - 2 for edge in np.floor(lips.min(axis=0)))
    right, bottom = (int(edge) + 3 for edge in np.ceil(lips.max(axis=0)))
    between = between_lips(mesh, (top, bottom, left, right))
    area, unit = float(between.sum()), head_millimetre(mesh.astype(np.float64), mesh)
    if area < 1:
        return NOTHING_SHOWN
    corner = np.array([[1.0, 0, left], [0, 1.0, top]])
    picture = layout.sample_bgr(frame, corner, (right - left, bottom - top)).astype(np.float32)
    teeth = _teeth(picture, skin) * between
    parted = float(np.linalg.norm(lower - upper, axis=1).max()) / unit
    shares = (float(teeth.sum()) / area, _TEETH_SHARE), (parted, _OPEN)
    kept = max(float(np.interp(value, ends, (0, 1))) for value, ends in shares)
    return ShownInside(kept, _color(picture, teeth) if teeth.sum() >= _LEAST_TEETH * unit**2 else None)


def _teeth(picture: npt.NDArray[np.float32], skin: Skin) -> PixelMap:
    """Return how far each pixel is teeth, 0..1."""
    blue, green, red = (picture[..., channel] for channel in range(3))
    as_blue = np.interp(blue / max(float(skin[0]), 8.0), BLUE_OF_TEETH, (0, 1))
    usual = _redness(*skin[:, None]).item()
    if usual < _LEAST_RED:
        return np.asarray(as_blue, np.float32)
    pale = 1 - np.interp(_redness(blue, green, red) / np.float32(usual), _PALE, (0, 1))
    bright = np.interp(picture.mean(axis=2) / max(float(skin.mean()), 8.0), _BRIGHT, (0, 1))
    return np.asarray(np.maximum(as_blue, pale * bright), np.float32)


def _redness(blue: PixelMap, green: PixelMap, red: PixelMap) -> PixelMap:
    redness: PixelMap = (red - green) / (blue + green + red + np.float32(30))
    return redness


def _color(picture: npt.NDArray[np.float32], teeth: PixelMap) -> Tooth:
    """Return the colour of the brighter half of teeth."""
    brightness = picture.mean(axis=2)
    weight = teeth * (brightness >= np.median(brightness[teeth > 0.5 * teeth.max()]))
    color: Tooth = (picture * weight[..., None]).sum(axis=(0, 1)).astype(np.float64) / float(weight.sum())
    return color
