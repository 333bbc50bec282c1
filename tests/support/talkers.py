"""Footage of somebody who talks, made by code: the portrait, its mouth bent open and shut."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from app.faces.detector import load_detector
from app.faces.face_mesh import FaceMesh
from app.faces.regions import region_of_landmarks
from app.faces.tracking import track_face
from app.media.frames import BgrImage, FrameLayout
from app.mouths.bending import place
from app.mouths.meeting import meet
from app.rendering.laying import Layer
from app.rendering.sampling import Lent
from tests.support.clips import moving_portrait, write_video
from tests.support.frames import i420
from tests.support.mouths import study_of, talk

OPEN = 4.0
"""How far the mouth opens, in deviations of the first component."""


@cache
def mouth_frames(width: int, height: int, steps: int = 9) -> list[BgrImage]:
    """Return the portrait with its mouth shut, then wider in each of ``steps`` pictures."""
    layout = FrameLayout(width, height)
    frame = i420(moving_portrait(0, width, height), layout)
    track = track_face([frame], layout, fps=25, detector=load_detector("blazeface"))
    landmarks, box = track.landmarks[0], track.boxes[0]
    fit = FaceMesh().fit(frame, layout, region_of_landmarks(landmarks))
    assert fit is not None
    person = meet(replace(study_of(np.zeros((1, 1))), meshes=fit.mesh[None]), 25.0)
    pictures = []
    for opened in np.linspace(0, OPEN, steps):
        lack, made = np.zeros(6), frame.copy()
        lack[0] = opened
        Layer(layout).lay(made, box, landmarks, Lent(frame, place(person, landmarks[None], 0, 0, lack)))
        pictures.append(layout.to_bgr(made))
    return pictures


def talking_frames(count: int, width: int = 320, height: int = 240) -> list[BgrImage]:
    """Return frames of somebody who opens and shuts their mouth two or three times a second."""
    pictures = mouth_frames(width, height)
    places = np.rint(talk(count, len(pictures) - 1).ravel()).astype(int)
    return [pictures[place] for place in places]


def talker(path: Path, seconds: float = 2.0, fps: int = 25, width: int = 320, height: int = 240) -> Path:
    """Write a video of somebody who talks; return its path."""
    return write_video(path, talking_frames(max(1, round(seconds * fps)), width, height), fps)
