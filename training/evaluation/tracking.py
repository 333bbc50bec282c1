"""The judge's own eyes: Face Mesh on every picture, from where the face was in the last one.

It shares the networks with the service and nothing else: no smoothing, no choice of faces, and no measure by which
mouths are chosen.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.blazeface import BlazeFace
from app.faces.networks import INPUT_SIZE, Network
from app.media.frames import BgrImage, FrameLayout, bgr_to_yuv

MeshPlaces = npt.NDArray[np.float64]
"""float64 (468, 2): x, y of the mesh's points in pixels of a picture."""

_MARGIN: Final = 1.5
"""Side of what the mesh is shown over the larger side of the face."""
_LEAST_PRESENCE: Final = 0.0
"""Logit above which a face is there."""
_RIGHT_EYE, _LEFT_EYE = 33, 263


class FaceFollower:
    """Finds the best face of a video's first picture, and follows it."""

    def __init__(self) -> None:
        self._finder = BlazeFace()
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
        eyes = self._last[_LEFT_EYE] - self._last[_RIGHT_EYE]
        return self._fit(picture, (least + most) / 2, float((most - least).max()), eyes)

    def _found(self, picture: BgrImage) -> MeshPlaces | None:
        height, width = (side // 2 * 2 for side in picture.shape[:2])
        layout = FrameLayout(width, height)
        faces = self._finder.detect(_planes(picture[:height, :width], layout), layout)
        if not faces or faces[0].keypoints is None:
            return None
        top, bottom, left, right = faces[0].box
        middle = np.array([left + right, top + bottom]) / 2
        eyes = faces[0].keypoints[1] - faces[0].keypoints[0]
        return self._fit(picture, middle, float(max(bottom - top, right - left)), eyes)

    def _fit(
        self, picture: BgrImage, middle: npt.NDArray[np.float64], size: float, eyes: npt.NDArray[np.float64]
    ) -> MeshPlaces | None:
        angle = float(np.degrees(np.arctan2(eyes[1], eyes[0])))
        center = (float(middle[0]), float(middle[1]))
        way = cv2.getRotationMatrix2D(center, angle, INPUT_SIZE / (_MARGIN * size))
        way[:, 2] += INPUT_SIZE / 2 - middle
        crop = np.asarray(cv2.warpAffine(picture, way, (INPUT_SIZE, INPUT_SIZE)), np.uint8)
        points, presence = (output.reshape(-1) for output in self._mesh(crop))
        if presence[0] <= _LEAST_PRESENCE:
            return None
        flat = points.reshape(-1, 3)[:, :2].astype(np.float64)
        back = cv2.invertAffineTransform(way)
        places: MeshPlaces = flat @ back[:, :2].T + back[:, 2]
        return places


def _planes(picture: BgrImage, layout: FrameLayout) -> npt.NDArray[np.uint8]:
    yuv = cv2.transform(picture, bgr_to_yuv(layout.color))
    chroma = cv2.resize(yuv[..., 1:], (layout.width // 2, layout.height // 2), interpolation=cv2.INTER_AREA)
    return np.concatenate([part.ravel() for part in (yuv[..., 0], chroma[..., 0], chroma[..., 1])])
