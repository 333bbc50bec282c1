"""Grimaces that are marked as if something were before the face: a smirk, lips that are drawn in for a smile.

What is before a mouth comes from outside of the face, and hides the red of the lips; a grimace does neither.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import alignment, in_crop, lips_hidden
from app.faces.types import FaceLandmarks, Landmarks
from app.mouths.covers import FAINT, Marking
from app.mouths.looks import MET
from app.mouths.marks import Marks
from app.mouths.types import Numbers
from app.progress import Alive, nothing

UNTOUCHED, LEAST_MARKED = 0.05, 0.06
"""Share of the lips up to which a frame shows how much red is usual, and from which its marks are weighed."""

RED_SEEN: Final = 0.62
"""Share of the usual red from which the lips are seen: smirks and smiles with shut lips of two men have 0.62
to 1.02, lips behind the hand of a woman 0.25 to 0.61."""

WITHIN: Final = 0.5
"""Share of a mark that lies in the face, from which it is of the face: of those grimaces 17 of 20 have 0.52
to 1.0; hands, captions and microphones before seven people 0.01 to 0.40."""

_FEWEST: Final = 3
"""Frames that tell what is usual."""


def forget_grimaces(
    marks: Marks,
    redness: npt.NDArray[np.float32],
    parting: npt.NDArray[np.float32],
    landmarks: Landmarks,
    alive: Alive = nothing,
) -> None:
    """Take grimaces out of ``marks``.

    ``redness`` and ``parting`` (n,) are those of :mod:`app.mouths.looks`, ``landmarks`` (n, 468, 2) the
    frames'. ``alive`` is called for each frame that is looked at.
    """
    seen = _red_seen(marks.lips, redness, parting)
    for frame in sorted(marks.kept):
        if marks.lips[frame] >= LEAST_MARKED and seen[frame] >= RED_SEEN:
            alive()
            points = in_crop(alignment(landmarks[frame]), landmarks[frame])
            rest = _beyond_the_face(marks.kept[frame], points)
            marks.kept[frame], marks.lips[frame] = rest, lips_hidden(rest, points)


def _red_seen(
    lips: npt.NDArray[np.float32], redness: npt.NDArray[np.float32], parting: npt.NDArray[np.float32]
) -> Numbers:
    """Return the red of the lips of each frame (n,) over what is usual; nan where that is not known."""
    seen = np.full(len(lips), np.nan)
    for kind in (parting < MET, parting >= MET):
        usual = redness[kind & (lips < UNTOUCHED)]
        if len(usual) >= _FEWEST and np.median(usual) > 0:
            seen[kind] = redness[kind] / np.median(usual)
    return seen


def _beyond_the_face(marks: Marking, points: FaceLandmarks) -> Marking:
    """Return marks (96, 96) without those that lie in the face whose ``points`` (468, 2) are in the crop."""
    face = np.zeros_like(marks)
    cv2.fillPoly(face, [np.rint(cv2.convexHull(points)).astype(np.int32)], 1)
    count, labels = cv2.connectedComponents((marks >= FAINT).astype(np.uint8))
    whole = np.bincount(labels.ravel(), minlength=count)
    within = np.bincount(labels[face > 0], minlength=count)
    own = within >= WITHIN * np.maximum(whole, 1)
    own[0] = own[1:].all()  # what is fainter goes with the last of them
    return np.where(own[labels], np.uint8(0), marks)
