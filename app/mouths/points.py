"""The points of the 468-point face mesh that describe the mouth."""

from typing import Final

UPPER_LIP_OUTER: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP_OUTER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_LIP_INNER: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP_INNER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
JAW: Final = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
CHIN: Final = (204, 194, 201, 200, 421, 418, 424)
BELOW_LIP: Final = (83, 18, 313)
SPEECH_ROWS: Final = (
    UPPER_LIP_OUTER,
    LOWER_LIP_OUTER,
    UPPER_LIP_INNER,
    LOWER_LIP_INNER,
    JAW,
    CHIN,
    BELOW_LIP,
)
"""Rows of points that speech moves, each from the person's right to the left."""

SPEECH_POINTS: Final = tuple(point for row in SPEECH_ROWS for point in row)
