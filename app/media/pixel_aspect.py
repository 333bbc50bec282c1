"""Pixels that are not square, as of PAL, NTSC and HDV: how large a picture is with square ones.

Faces are found, measured and turned in space in pixels, so they must have their shape there.
"""

from fractions import Fraction
from math import sqrt
from typing import Final

from app.media.limits import MAX_SIDE

_NEAR: Final = 1.01
"""Up to this ratio of their sides pixels count as square: a size was rounded, nobody sees a difference."""
_FAR: Final = 4
"""Beyond this ratio a header is wrong; 352x576 that is shown at 16:9 has pixels of 2.9."""
_ENLARGED: Final = 1920 * 1088
"""A picture is enlarged to as many pixels, so that it loses none; a larger one keeps their number."""


def needs_squaring(aspect: Fraction) -> bool:
    """Return whether pixels of this aspect, width over height, are made square.

    Others are so already, as far as can be seen, or their header is wrong.
    """
    return _NEAR < max(aspect, 1 / aspect) <= _FAR


def shape_of(width: int, height: int, aspect: Fraction) -> Fraction:
    """Return width over height of a picture as it is shown, whose pixels are said to have this ``aspect``."""
    return Fraction(width, height) * (aspect if needs_squaring(aspect) else 1)


def is_other_shape(shape: Fraction, first: Fraction) -> bool:
    """Return whether a picture of the one shape is seen to be stretched when it is shown in the other."""
    return max(shape / first, first / shape) > _NEAR


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Return the width and height with square pixels of a picture whose pixels have this ``aspect``.

    A side that is scaled is rounded down to even. Neither shrinks as long as the result has no more pixels
    than full HD.
    """
    across, down = (width * aspect, Fraction(height)) if aspect > 1 else (Fraction(width), height / aspect)
    most = max(width * height, _ENLARGED)
    scale = min(1.0, sqrt(most / (across * down)), MAX_SIDE / float(max(across, down)))
    return _scaled(width, across * scale), _scaled(height, down * scale)


def _scaled(side: int, wanted: float) -> int:
    return side if wanted == side else max(2, 2 * int(wanted / 2))
