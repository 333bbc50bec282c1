"""A photograph of shut lips, made by code: the portrait's smile is bent shut, its teeth are covered."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from app.faces.face_mesh import FaceMesh
from app.faces.regions import region_of_landmarks
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage, FrameLayout
from app.mouths.bending import BENT, place
from app.mouths.meeting import meet
from app.mouths.points import (
    BELOW_LIP,
    CHIN,
    JAW,
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from app.rendering.laying import Layer
from app.rendering.sampling import Lent
from tests.support.clips import portrait
from tests.support.faces import portrait_face
from tests.support.frames import i420
from tests.support.mouths import study_of

LAYOUT = FrameLayout(512, 512)


def mesh_of(picture: BgrImage) -> FaceLandmarks:
    """Return the mesh of a picture of the portrait, float32 (468, 2)."""
    fit = FaceMesh().fit(i420(picture, LAYOUT), LAYOUT, region_of_landmarks(portrait_face()[0]))
    assert fit is not None
    mesh: FaceLandmarks = fit.mesh[:, :2]
    return mesh


def aperture(mesh: FaceLandmarks) -> float:
    """Return how far the middles of the inner lips are apart, in distances of the outer eye corners."""
    lips, eyes = mesh[13] - mesh[14], mesh[33] - mesh[263]
    return float(np.linalg.norm(lips) / np.linalg.norm(eyes))


@cache
def shut_portrait() -> BgrImage:
    """Return the portrait with lips that touch, BGR uint8 (512, 512, 3)."""
    bent = _bent_shut()
    mesh = mesh_of(bent)
    upper, lower = mesh[list(UPPER_LIP_INNER)], mesh[list(LOWER_LIP_INNER)]
    teeth = np.zeros(bent.shape[:2], np.uint8)
    cv2.fillPoly(teeth, [np.rint(np.concatenate([upper, lower[::-1]])).astype(np.int32)], 255)
    covered = cv2.inpaint(bent, cv2.dilate(teeth, np.ones((3, 3))), 3, cv2.INPAINT_TELEA)
    seam = np.zeros(bent.shape[:2], np.float32)
    middle = [np.rint((upper + lower) * 8).astype(np.int32)]
    cv2.polylines(seam, middle, isClosed=False, color=1.0, lineType=cv2.LINE_AA, shift=4)
    dark = 0.75 * cv2.GaussianBlur(seam, (0, 0), 0.7)[..., None]
    return np.asarray(np.clip(covered * (1 - dark), 0, 255), np.uint8)


def _bent_shut() -> BgrImage:
    frame, (landmarks, box) = i420(portrait(), LAYOUT), portrait_face()
    fit = FaceMesh().fit(frame, LAYOUT, region_of_landmarks(landmarks))
    assert fit is not None
    person = meet(replace(study_of(np.zeros((1, 1))), meshes=fit.mesh[None]), 25.0)
    placing = place(person, landmarks[None], 0, 0, np.zeros(6))
    goal, laid = placing.laid.copy(), placing.laid
    half = (laid[list(LOWER_LIP_INNER)] - laid[list(UPPER_LIP_INNER)]) / 2
    for upper, lower in ((UPPER_LIP_INNER, LOWER_LIP_INNER), (UPPER_LIP_OUTER, LOWER_LIP_OUTER)):
        goal[list(upper)] += half
        goal[list(lower)] -= half
    goal[[*JAW, *CHIN, *BELOW_LIP]] -= 0.7 * half[len(half) // 2]
    shut = replace(placing, moves=(goal - laid)[BENT].astype(np.float64))
    Layer(LAYOUT).lay(frame, box, landmarks, Lent(frame.copy(), shut))
    return LAYOUT.to_bgr(frame)
