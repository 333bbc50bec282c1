"""Regions of a frame: what a network sees of it, and where its output lies in the frame."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from app.faces.types import Detection, ExactBox, FaceLandmarks, Keypoints
from app.media.frames import Affine, BgrImage, FrameLayout, I420Frame, yuv_to_bgr

ROI_SCALE: Final = 1.5
"""Side of the mesh's region over that of the face in it (MediaPipe, face_landmark graphs)."""

RIGHT_EYE, LEFT_EYE = 33, 263
"""Face Mesh points: the outer corners of the person's eyes, which are brought level."""


@dataclass(frozen=True)
class Region:
    """A square of the frame, turned by ``angle`` (radians, clockwise): what Face Mesh sees."""

    x: float
    y: float
    side: float
    angle: float

    def affine(self, size: int) -> Affine:
        """Map pixels of a ``size`` x ``size`` picture of this region to positions in the frame."""
        scale = self.side / size
        cos, sin = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        middle = (size - 1) / 2
        return np.array(
            [
                [cos, -sin, self.x - (cos - sin) * middle],
                [sin, cos, self.y - (sin + cos) * middle],
            ]
        )


def region_of_detection(detection: Detection) -> Region:
    """Return the region in which Face Mesh looks for the face that a detector found."""
    top, bottom, left, right = detection.box
    angle = 0.0 if detection.keypoints is None else _tilt(detection.keypoints[0], detection.keypoints[1])
    side = ROI_SCALE * max(bottom - top, right - left)
    return Region(float(left + right) / 2, float(top + bottom) / 2, float(side), angle)


def region_of_landmarks(landmarks: FaceLandmarks) -> Region:
    """Return the region in which Face Mesh looks for a face that was here in the frame before."""
    left, top = landmarks.min(axis=0).tolist()
    right, bottom = landmarks.max(axis=0).tolist()
    eyes = landmarks[[RIGHT_EYE, LEFT_EYE]].astype(np.float64)
    side = ROI_SCALE * max(right - left, bottom - top)
    return Region((left + right) / 2, (top + bottom) / 2, side, _tilt(*eyes))


def shrink(frame: I420Frame, layout: FrameLayout, box: ExactBox, size: tuple[int, int]) -> BgrImage:
    """Scale an even-aligned ``box`` of ``frame`` to a BGR picture of (width, height) = ``size``.

    Each plane is averaged over areas before colours are made: a small picture without aliasing for
    less than reading the frame once.
    """
    top, bottom, left, right = (int(edge) for edge in box)
    yuv = np.empty((size[1], size[0], 3), np.uint8)
    for channel, plane in enumerate(layout.planes(frame)):
        step = 1 if channel == 0 else 2
        part = plane[top // step : bottom // step, left // step : right // step]
        way = cv2.INTER_AREA if part.shape[1] >= size[0] else cv2.INTER_LINEAR
        yuv[..., channel] = cv2.resize(part, size, interpolation=way)
    return np.asarray(cv2.transform(yuv, yuv_to_bgr(layout.color)), np.uint8)


def _tilt(right_eye: Keypoints, left_eye: Keypoints) -> float:
    dx, dy = left_eye - right_eye
    return float(np.arctan2(dy, dx))
