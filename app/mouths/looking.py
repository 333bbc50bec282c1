"""Looking at one frame of a face: what is measured in it, and what lies before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import local
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.agreed import AgreedFinder
from app.faces.face_mesh import FaceMesh
from app.faces.hidden import lips_hidden
from app.faces.regions import region_of_landmarks
from app.faces.types import FaceLandmarks, FaceMeshPoints
from app.media.frames import BgrImage, FrameLayout, I420Frame
from app.mouths.lips_apart import LipsApart, mouth_crop
from app.mouths.looks import Patch, Skin, lips_within, parting, patch_of, redness, sharpness, skin_of
from app.mouths.marks import Marked
from app.mouths.teeth import shown_teeth
from app.mouths.upright import (
    SIZE,
    Points,
    aligned,
    in_upright,
    rows_shown,
    upright_affine,
    upright_picture,
)


class Frames(Protocol):
    """Frames that can be read by number."""

    def read_into(self, index: int, frame: I420Frame, parts: Sequence[slice] = ...) -> None:
        """Fill ``frame``, or ``parts`` of its bytes at least, with frame ``index``."""


@dataclass(frozen=True)
class Look:
    """What is measured in one frame."""

    mesh: FaceMeshPoints
    teeth: npt.NDArray[np.float32]
    redness: float
    parting: float
    apart: float
    sharpness: float
    skin: Skin
    patches: Patch


@dataclass(frozen=True)
class Face:
    """The face of one frame."""

    mesh: FaceMeshPoints
    picture: BgrImage
    """Upright."""
    points: Points
    """The mesh in the picture."""

    @cached_property
    def crop(self) -> BgrImage:
        """The aligned crop (96, 96, 3)."""
        return aligned(self.picture)

    @property
    def crop_points(self) -> FaceLandmarks:
        """The mesh in the crop."""
        return ((self.points - 0.5) / 2).astype(np.float32)


class Looker:
    """Measures one frame; each thread has networks of its own."""

    def __init__(self, layout: FrameLayout, frames: Frames) -> None:
        self._layout = layout
        self._frames = frames
        self._own = local()

    def face(
        self, index: int, buffer: I420Frame, landmarks: FaceLandmarks, mesh: FaceMeshPoints
    ) -> Face | None:
        """Return the face of a frame, None if no mesh is found; ``mesh`` is its mesh, or nan.

        What is needed of the frame is read into ``buffer``.
        """
        affine = upright_affine(landmarks)
        if np.isfinite(mesh[0, 0]):
            self._frames.read_into(index, buffer, self._layout.rows(*rows_shown(self._layout, affine)))
        else:
            self._frames.read_into(index, buffer)
            if not hasattr(self._own, "mesh"):
                self._own.mesh = FaceMesh()
            fit = self._own.mesh.fit(buffer, self._layout, region_of_landmarks(landmarks))
            if fit is None:
                return None
            mesh = fit.mesh
        picture = upright_picture(self._layout, buffer, affine)
        return Face(mesh, picture, in_upright(mesh[:, :2], affine))

    def look(self, face: Face) -> Look:
        """Return what is measured."""
        if not hasattr(self._own, "apart"):
            self._own.apart = LipsApart()
        shares = ((face.points + 0.5) / SIZE).astype(np.float32)
        return Look(
            mesh=face.mesh,
            teeth=shown_teeth([face.picture], shares[None], 1.0)[0],
            redness=redness(face.picture, face.points),
            parting=parting(face.picture, face.points),
            apart=self._own.apart(mouth_crop(face.crop, face.crop_points)),
            sharpness=sharpness(face.picture, face.points),
            skin=skin_of(face.picture, face.points),
            patches=patch_of(face.picture),
        )

    def cover(self, face: Face) -> Marked:
        """Return what is before a face; lips beyond the frame's edge are hidden."""
        if not hasattr(self._own, "finder"):
            self._own.finder = AgreedFinder()
        marks, suspects = self._own.finder.cover(face.crop, face.crop_points)
        luma = np.asarray(cv2.cvtColor(face.crop, cv2.COLOR_BGR2GRAY), np.uint8)
        if not lips_within(face.mesh, (self._layout.width, self._layout.height)):
            everything = np.full_like(marks, 255)
            return Marked(everything, everything, 1.0, luma)
        return Marked(marks, suspects, lips_hidden(marks, face.crop_points), luma)
