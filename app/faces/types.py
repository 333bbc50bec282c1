"""The types of this room: boxes, landmarks, masks, the requested face, and the result of tracking."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequest

Box = npt.NDArray[np.int32]
"""int32 (4,): y1, y2, x1, x2 in luma pixels, y2 and x2 exclusive. May reach beyond the frame."""

Boxes = npt.NDArray[np.int32]
"""int32 (n, 4): one :data:`Box` a frame, -1 in all four where there is no face (see :func:`has_face`)."""

FaceFlags = npt.NDArray[np.bool_]
"""bool (n,): something of each frame, such as whether it has a face."""

ExactBox = npt.NDArray[np.float64]
"""float64 (4,) or (n, 4): y1, y2, x1, x2 in luma pixels before rounding; nan where there is no face."""

FaceLandmarks = npt.NDArray[np.float32]
"""float32 (468, 2): x, y of the Face Mesh points in luma pixels, pixel centres at integers."""

FaceMeshPoints = npt.NDArray[np.float32]
"""float32 (468, 3): the Face Mesh points in space: x, y as in :data:`FaceLandmarks`, depth in luma pixels."""

Landmarks = npt.NDArray[np.float32]
"""float32 (n, 468, 2): :data:`FaceLandmarks` of each frame, nan where there is no face."""

FaceMeshes = npt.NDArray[np.float32]
"""float32 (n, 468, 3): :data:`FaceMeshPoints` of each frame by itself, nan where none was found."""

Keypoints = npt.NDArray[np.float64]
"""float64 (k, 2): x, y in luma pixels; the first two are the person's right and left eye."""

MouthMask = npt.NDArray[np.uint8]
"""uint8 (S, S): weight of the generated mouth in crop space, 0 (the avatar's own) to 255 (generated)."""

MAX_PAD: Final = 1.0
"""Largest pad, as a fraction of the face box: the crop would be three times the face."""


@dataclass(frozen=True)
class Pads:
    """How far the crop reaches beyond the face box, as fractions of the box's height and width.

    The default is the reference's 10 pixels below a face of 200. Negative values draw the crop in, by
    less than half of the box. Raises :class:`InvalidRequest` for values out of range.
    """

    top: float = 0.0
    bottom: float = 0.05
    left: float = 0.0
    right: float = 0.0

    def __post_init__(self) -> None:
        for name in ("top", "bottom", "left", "right"):
            value = getattr(self, name)
            if not -0.5 < value <= MAX_PAD:
                raise InvalidRequest(
                    f"The pad {name!r} is a fraction of the face box above -0.5 and at most {MAX_PAD:g}; "
                    f"{value} was given."
                )


DEFAULT_PADS: Final = Pads()


@dataclass(frozen=True)
class FaceChoice:
    """Which face of several is followed: ``largest``, ``left``, ``right``, or its position from the left."""

    rule: str = "largest"

    def __post_init__(self) -> None:
        if self.rule not in ("largest", "left", "right") and not (
            len(self.rule) == 1 and self.rule in "0123456789"
        ):
            raise InvalidRequest(
                "The face is 'largest', 'left', 'right', or its position from the left, '0' to '9'; "
                f"{self.rule!r} was given."
            )

    @property
    def position(self) -> int | None:
        """The position from the left (0-based), counted from the right if negative; None for the largest."""
        named = {"largest": None, "left": 0, "right": -1}
        return named[self.rule] if self.rule in named else int(self.rule)


LARGEST: Final = FaceChoice()


@dataclass(frozen=True)
class Detection:
    """One face that a detector found: its box, score in 0..1, and keypoints where the detector has them."""

    box: ExactBox
    score: float
    keypoints: Keypoints | None = None


@dataclass(frozen=True)
class FaceTrack:
    """One face through a video: for each frame a crop box, landmarks and a mesh; and the detector's name."""

    boxes: Boxes
    landmarks: Landmarks
    """Smoothed, with short gaps filled."""
    meshes: FaceMeshes
    detector: str
    cuts: FaceFlags
    """Before which frames a cut lies."""
    faces: int = 1
    """How many faces are visible at once, for a good part of the time."""

    @property
    def face_frames(self) -> int:
        """How many frames show the face; it is followed through others while it is out of sight."""
        return int((has_face(self.boxes) & np.isfinite(self.meshes[:, 0, 0])).sum())


def has_face(boxes: Boxes) -> FaceFlags:
    """Tell for each box whether it holds a face.

    A box with a single -1 may be a real one at the frame's border; one without height or width never is.
    """
    has: FaceFlags = (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])
    return has


def runs_of(flags: FaceFlags) -> list[tuple[int, int]]:
    """Return start and stop of every run of true flags (n,), in their order."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
