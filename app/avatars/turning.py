"""Rotated videos: which way to turn them if no face is found as they are."""

from typing import Final

import cv2
import numpy as np

from app.errors import NoFace
from app.faces.detector import FaceDetector
from app.faces.face_mesh import FaceMesh
from app.faces.leaning import LYING, lean_of
from app.faces.regions import region_of_detection
from app.faces.types import Detection, Landmarks
from app.media.frame_file import FrameReader
from app.media.frames import FrameLayout, I420Frame
from app.progress import Alive

_SAMPLES: Final = 24
"""Frames that are looked at, spread over the video."""
_ENOUGH: Final = 2
"""Frames in which a face must be found, where there are so many."""
_TURNS: Final = {
    0: None,
    90: cv2.ROTATE_90_CLOCKWISE,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
}
"""In the order in which cameras are most often held."""


def find_turn(
    frames: FrameReader, count: int, layout: FrameLayout, detector: FaceDetector, alive: Alive
) -> int:
    """Return by how many degrees clockwise the frames must be turned for a face to be seen: 90, 180 or 270.

    0 if they show one as they are. Raises NoFace if there is none either way.
    """
    mesh = FaceMesh()
    indices = np.unique(np.linspace(0, count - 1, _SAMPLES).round().astype(int))
    seen = dict.fromkeys(_TURNS, 0)
    frame = np.empty(layout.frame_bytes, np.uint8)
    for index in indices.tolist():
        frames.read_into(index, frame)
        for degrees in _TURNS:
            alive()
            turned, form = turned_frame(frame, layout, degrees)
            found = detector.detect(turned, form, thorough=True)
            seen[degrees] += any(_is_upright(mesh, turned, form, face) for face in found)
    best = max(seen, key=lambda degrees: seen[degrees])
    if seen[best] < min(_ENOUGH, len(indices)):
        raise NoFace(
            "No face was found in the video, neither upright nor turned by 90, 180 or 270 degrees; "
            "film one person from the front, in good light and close up."
        )
    return best


def _is_upright(mesh: FaceMesh, frame: I420Frame, layout: FrameLayout, face: Detection) -> bool:
    """Return whether the mesh fits, and once more to where it found the face, as it does in following."""
    fit = mesh.fit(frame, layout, region_of_detection(face))
    fit = fit and mesh.fit(frame, layout, fit.region)
    return fit is not None and turn_of(fit.landmarks[None]) == 0


def turn_of(landmarks: Landmarks) -> int:
    """Return by how many degrees clockwise a face that was followed must be turned to be upright; 0 mostly.

    Detectors find some faces that lie on their side; a head that is merely tilted stays as it is.
    """
    found = np.isfinite(landmarks[:, 0, 0])
    leans = np.array([lean_of(points) for points in landmarks[found]])
    angle = float(np.arctan2(np.median(np.sin(leans)), np.median(np.cos(leans))))
    return 0 if abs(angle) < LYING else round(-np.degrees(angle) / 90) * 90 % 360


def turned_frame(frame: I420Frame, layout: FrameLayout, degrees: int) -> tuple[I420Frame, FrameLayout]:
    """Return ``frame`` turned clockwise by 0, 90, 180 or 270 degrees, and its layout."""
    turn = _TURNS[degrees]
    if turn is None:
        return frame, layout
    swapped = FrameLayout(layout.height, layout.width, layout.color) if degrees != 180 else layout
    turned = np.empty(layout.frame_bytes, np.uint8)
    for source, target in zip(layout.planes(frame), swapped.planes(turned), strict=True):
        np.copyto(target, cv2.rotate(source, turn))
    return turned, swapped
