"""Where a chin is seen to lie further down than its mesh says: a mesh hardly follows one below a beard."""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np

from app.faces.boxes import CHIN
from app.faces.hidden import alignment
from app.faces.types import FaceLandmarks
from app.media.averaging import sample_luma_averaged
from app.media.frames import FrameLayout, I420Frame, Plane

SIZE: Final = 62
"""Side of the picture of a chin, pixels of an aligned crop: the tip of its mesh is at :data:`TIP`."""

TIP: Final = (31, 30)

_PIECE: Final = (slice(14, 34), slice(13, 49))
"""Rows and columns of the piece of a chin that is looked for in another picture, mostly above the tip."""

_ASIDE: Final = slice(8, 54)
"""Columns in which it is looked for."""

ALIKE: Final = 0.8
"""Correlation of two pieces from which they are the same chin: of 28 people in training, two frames of whom
are compared, 26 have more in 0.78 to all of them. Meshes lag by 3.3 pixels or less in nine of ten of them,
and by 4.1 on a man with a white beard."""

MORE_ALIKE: Final = 0.03
"""By how much that has to be more than where the mesh says that the chin is."""

FARTHEST: Final = 12
"""Pixels of an aligned crop by which a mesh lags at most; what is alike further off is a collar or a fold."""

DOUBT: Final = (1.0, 3.0)
"""The same, up to which a mesh is right, for chins are rounded and heads nod, and from which it lags by all
of that."""


@dataclass(frozen=True)
class Chin:
    """What a chin looks like."""

    picture: Plane
    """uint8 (62, 62): luma about the tip of the mesh, eyes level, in the size of an aligned crop."""
    scale: float
    """Pixels of the frame in one of the picture."""

    @classmethod
    def of(cls, layout: FrameLayout, frame: I420Frame, landmarks: FaceLandmarks) -> Self:
        """Cut the chin out of a frame whose face is at ``landmarks`` (468, 2)."""
        steps = alignment(landmarks)[:, :2]
        affine = np.column_stack([steps, landmarks[CHIN] - steps @ TIP])
        return cls(sample_luma_averaged(layout, frame, affine, SIZE), float(np.hypot(*steps[:, 1])))

    def lag(self, other: Self) -> float:
        """Return by how much this chin lies further down than ``other``, beyond what both meshes say.

        In pixels of this chin's frame, 0 or more; 0 where the two do not look alike.
        """
        first = _PIECE[0].start
        part = self.picture[first - 2 : _PIECE[0].stop + FARTHEST, _ASIDE]
        likeness = cv2.matchTemplate(part, other.picture[_PIECE], cv2.TM_CCOEFF_NORMED).max(axis=1)
        here, best = 2, int(likeness.argmax())
        inside = here < best < len(likeness) - 1
        if not inside or likeness[best] < max(ALIKE, likeness[here] + MORE_ALIKE):
            return 0.0
        before, peak, after = likeness[best - 1 : best + 2].tolist()
        lag = float(best - here + (before - after) / (2 * (before - 2 * peak + after)))
        return float(np.interp(lag, DOUBT, (0, 1))) * lag * self.scale
