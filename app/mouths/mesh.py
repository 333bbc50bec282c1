"""Face Mesh on crops that were cut already: generated faces, and those of training packs."""

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.face_mesh import POINTS
from app.faces.networks import INPUT_SIZE, Network
from app.media.frames import BgrImage

MeshPoints = npt.NDArray[np.float32]
"""float32 (n, 468, 3): x, y in shares of the crop's side (0 and 1 are its edges), z in the unit of y."""

Presence = npt.NDArray[np.float32]
"""float32 (n,): the network's logit that a face is there."""

LEAST_PRESENCE: Final = 20.0
"""Logit below which a mesh is not believed; faces of training packs have 32 to 60."""


class CropMesh:
    """Fits the mesh to square crops that are squeezed by ``aspect``, the box's width over its height."""

    def __init__(self) -> None:
        self._network = Network("face_landmark.tflite", offset=0.0, divisor=255.0)

    def fit(self, crops: Iterable[BgrImage], aspect: float) -> tuple[MeshPoints, Presence]:
        """Return the points of every crop, and how sure the network is of each."""
        width = min(round(INPUT_SIZE * aspect), INPUT_SIZE)
        left = (INPUT_SIZE - width) // 2
        picture = np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        points, presence = [], []
        for crop in crops:
            picture[:, left : left + width] = cv2.resize(crop, (width, INPUT_SIZE))
            mesh, logit = self._network(picture)
            fitted = mesh.reshape(POINTS, 3) / np.float32(INPUT_SIZE)
            fitted[:, 0] = (fitted[:, 0] * INPUT_SIZE - left) / width
            points.append(fitted)
            presence.append(float(logit.reshape(-1)[0]))
        return (
            np.array(points, np.float32).reshape(-1, POINTS, 3),
            np.array(presence, np.float32),
        )
