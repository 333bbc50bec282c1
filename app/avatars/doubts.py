"""What makes footage doubtful, frame by frame: no face, a small, turned or dark one, a hidden mouth, cuts."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.faces.types import FaceMeshes, FaceTrack, has_face
from app.mouths.looks import lips_within
from app.mouths.person import Person
from app.mouths.study import Study
from app.mouths.types import Flags, Numbers
from app.mouths.visibility import too_bright, too_dark

TINY: Final = 64
"""Height of a face, pixels, below which hardly anything of its mouth is seen."""
FAR_TURN: Final = 35.0
"""Degrees by which a head is turned so far that half of its mouth is out of sight."""

BELOW: Final = 0.05
"""How far beyond the picture's border a chin lies that is cut off, in distances of the eyes' outer corners.
In a close-up that ends below the lips that is 0.19; in 49 other clips the median is 0.33 inside or more."""
_CHIN, _EYES = 152, (33, 263)
"""Face Mesh points."""


@dataclass(frozen=True)
class Doubts:
    """Flags of every frame, and measurements behind them."""

    lost: Flags
    """No face is visible, or none that can be measured: followed through a time when it is out of sight."""
    tiny: Flags
    """The face is less than :data:`TINY` pixels high."""
    turned: Flags
    """The head is turned away by more than :data:`FAR_TURN` degrees."""
    dark: Flags
    """The face is too dark to show its mouth."""
    bright: Flags
    """The face is too bright to show it."""
    hidden: Flags
    """Something hides the mouth of a face that is there, in enough light and within the picture."""
    cropped: Flags
    """The chin is outside of the picture, or a part of the lips, which hides the mouth, too."""
    found: Flags
    """The face was measured."""
    heights: Numbers
    """Height of the face box, pixels; 0 without one."""
    light: Numbers
    """Brightness of the cheeks, 0..255."""
    turn: Numbers
    """Degrees away from the camera."""
    cuts: int
    """Places where another take begins."""


def doubts_of(track: FaceTrack, study: Study, person: Person, size: tuple[int, int]) -> Doubts:
    """Return what is doubtful in a video that was studied; ``size`` is its width and height, pixels."""
    shown = has_face(track.boxes)
    found: Flags = np.isfinite(study.meshes[:, 0, 0])
    heights = np.where(shown, track.boxes[:, 1] - track.boxes[:, 0], 0).astype(np.float64)
    light = study.skin.mean(axis=1).astype(np.float64)
    turn: Numbers = np.hypot(*person.turns.T)
    cut = found & ~lips_within(study.meshes, size)
    dark, bright = (too(study, person.fps, found) for too in (too_dark, too_bright))
    return Doubts(
        lost=~found,
        tiny=shown & (heights < TINY),
        turned=found & (turn > FAR_TURN),
        dark=dark,
        bright=bright,
        hidden=found & ~person.seen & ~dark & ~bright & ~cut,
        cropped=cut | _cropped(study.meshes, found, size),
        found=found,
        heights=heights,
        light=light,
        turn=turn,
        cuts=max(0, int(study.takes.max())),
    )


def _cropped(meshes: FaceMeshes, found: Flags, size: tuple[int, int]) -> Flags:
    chin, eyes = meshes[:, _CHIN, :2], np.diff(meshes[:, list(_EYES), :2], axis=1)[:, 0]
    beyond = np.maximum(-chin, chin - (np.array(size) - 1)).max(axis=1)
    cropped: Flags = found & (np.nan_to_num(beyond) > BELOW * np.nan_to_num(np.linalg.norm(eyes, axis=1)))
    return cropped
