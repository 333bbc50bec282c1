"""The judge's own eyes: Face Mesh on every picture, from where the face was in the last one.

It shares the networks with the service and nothing else: no smoothing, no choice of faces, and no measure by
which mouths are chosen.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.blazeface import GRID
from app.faces.networks import INPUT_SIZE, Network
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.media.frames import BgrImage

MeshPlaces = npt.NDArray[np.float64]
"""float64 (468, 2): x, y of the mesh's points in pixels of a picture."""

Place = npt.NDArray[np.float64]
"""float64 (2,): x, y in pixels of a picture."""

_MARGIN: Final = 1.5
"""Side of what the mesh is shown over the larger side of the face."""
_LEAST_PRESENCE: Final = 0.0
"""Logit above which a face is there."""


class FaceFollower:
    """Finds the best face of a video's first picture, and follows it."""

    def __init__(self) -> None:
        self._finder = Network("face_detection_full_range.tflite", offset=127.5, divisor=127.5)
        self._mesh = Network("face_landmark.tflite", offset=0.0, divisor=255.0)
        self._last: MeshPlaces | None = None

    def follow(self, picture: BgrImage) -> MeshPlaces | None:
        """Return the mesh in the next picture; None where no face is seen."""
        places = self._continued(picture)
        if places is None:
            places = self._found(picture)
        self._last = places
        return places

    def _continued(self, picture: BgrImage) -> MeshPlaces | None:
        if self._last is None:
            return None
        least, most = self._last.min(axis=0), self._last.max(axis=0)
        eyes = self._last[LEFT_EYE] - self._last[RIGHT_EYE]
        return self._fit(picture, (least + most) / 2, float((most - least).max()), eyes)

    def _found(self, picture: BgrImage) -> MeshPlaces | None:
        face = self._detect(picture)
        return None if face is None else self._fit(picture, *face)

    def _detect(self, picture: BgrImage) -> tuple[Place, float, Place] | None:
        """Return the middle, the larger side, and eye to eye of the best face (full-range BlazeFace)."""
        height, width = picture.shape[:2]
        side = max(height, width)
        corner = np.array([(side - width) // 2, (side - height) // 2])
        square = np.zeros((side, side, 3), np.uint8)
        square[corner[1] : corner[1] + height, corner[0] : corner[0] + width] = picture
        small = np.asarray(cv2.resize(square, (INPUT_SIZE, INPUT_SIZE)), np.uint8)
        offsets, logits = (output[0].astype(np.float64) for output in self._finder(small))
        best = int(logits[:, 0].argmax())
        if logits[best, 0] < _LEAST_PRESENCE:
            return None
        cell = (np.array([best % GRID, best // GRID]) + 0.5) * INPUT_SIZE / GRID
        places = offsets[best].reshape(8, 2)
        middle, right_eye, left_eye = (
            (place + cell) * side / INPUT_SIZE - corner for place in places[[0, 2, 3]]
        )
        return middle, float(places[1].max()) * side / INPUT_SIZE, left_eye - right_eye

    def _fit(self, picture: BgrImage, middle: Place, size: float, eyes: Place) -> MeshPlaces | None:
        angle = float(np.degrees(np.arctan2(eyes[1], eyes[0])))
        center = (float(middle[0]), float(middle[1]))
        way = np.asarray(cv2.getRotationMatrix2D(center, angle, INPUT_SIZE / (_MARGIN * size)), np.float64)
        way[:, 2] += INPUT_SIZE / 2 - middle
        crop = np.asarray(cv2.warpAffine(picture, way, (INPUT_SIZE, INPUT_SIZE)), np.uint8)
        points, presence = (output.reshape(-1) for output in self._mesh(crop))
        if presence[0] <= _LEAST_PRESENCE:
            return None
        flat = points.reshape(-1, 3)[:, :2].astype(np.float64)
        back = cv2.invertAffineTransform(way)
        places: MeshPlaces = flat @ back[:, :2].T + back[:, 2]
        return places
