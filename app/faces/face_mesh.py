"""Face Mesh, MediaPipe's 468 landmarks of one face in a region of the frame.

Y. Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019. The
picture is the region, 192x192, eyes level; the answer is 468 points in its pixels and the logit of a face
being there.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from app.faces.geometry import mapped
from app.faces.networks import INPUT_SIZE, Network
from app.faces.regions import Region, region_of_landmarks
from app.faces.types import FaceLandmarks, FaceMeshPoints
from app.media.averaging import sample_averaged
from app.media.frames import FrameLayout, I420Frame

POINTS: Final = 468

MIN_PRESENCE: Final = 0.5
"""Least probability of a face (MediaPipe)."""


@dataclass(frozen=True)
class MeshFit:
    """The mesh of one face, and the probability (0..1) that a face is there at all."""

    mesh: FaceMeshPoints
    presence: float

    @property
    def landmarks(self) -> FaceLandmarks:
        """The mesh in the picture's plane."""
        return self.mesh[:, :2]

    @cached_property
    def region(self) -> Region:
        """The region of the mesh itself."""
        return region_of_landmarks(self.landmarks)


class FaceMesh:
    """Fits the mesh to the face in a region; runs on the CPU in a millisecond or two."""

    def __init__(self) -> None:
        self._network = Network("face_landmark.tflite", offset=0.0, divisor=255.0)

    def fit(self, frame: I420Frame, layout: FrameLayout, region: Region) -> MeshFit | None:
        """Return the mesh of the face in ``region``; None if no face is there.

        A mesh that fills its region badly is not one of a face, whatever the network thinks of it.
        """
        affine = region.affine(INPUT_SIZE)
        picture = sample_averaged(layout, frame, affine, INPUT_SIZE)
        points, logit = self._network(picture)
        presence = 1 / (1 + math.exp(-min(max(logit.item(), -100.0), 100.0)))
        if presence < MIN_PRESENCE:
            return None
        space = points.reshape(POINTS, 3).astype(np.float64)
        mesh = np.empty((POINTS, 3), np.float32)
        mesh[:, :2] = mapped(space[:, :2] - 0.5, affine)
        mesh[:, 2] = space[:, 2] * (region.side / INPUT_SIZE)
        fit = MeshFit(mesh, presence)
        return fit if _plausible(fit.region, region) else None


def _plausible(mesh: Region, region: Region) -> bool:
    """Tell whether a mesh lies in its region as that of a face does: 2/3 of its side, in the middle."""
    shift = math.hypot(mesh.x - region.x, mesh.y - region.y) / region.side
    return 0.5 < mesh.side / region.side < 1.7 and shift < 0.3
