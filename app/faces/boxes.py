"""Crop boxes in the convention that Wav2Lip was trained on, and the mapping between crop and frame."""

from typing import Final

import numpy as np

from app.faces.types import Box, Boxes, ExactBox, FaceLandmarks, Pads
from app.media.frames import Affine

FOREHEAD, CHIN = 10, 152
"""Face Mesh points: the top of the forehead and the tip of the chin."""

ABOVE_FOREHEAD: Final = 0.13
BELOW_CHIN: Final = 0.02
WITHIN_SIDES: Final = 0.02
"""From the mesh to WIDER FACE's boxes, on which S3FD was trained, whose boxes Wav2Lip was trained on: medians
over 361 frames of 40 people between a WIDER-FACE-trained detector and Face Mesh, as shares of the
distance from forehead to chin and of the mesh's width."""


def box_of_landmarks(landmarks: FaceLandmarks) -> ExactBox:
    """Return the face's box as a detector trained on WIDER FACE would draw it.

    It holds the whole mesh from top to bottom, even where a head leans to its side.
    """
    points = landmarks.astype(np.float64) + 0.5
    top, bottom = points[FOREHEAD, 1], points[CHIN, 1]
    (left, highest), (right, lowest) = points.min(axis=0), points.max(axis=0)
    height, width = bottom - top, right - left
    return np.array(
        [
            min(top - ABOVE_FOREHEAD * height, highest),
            max(bottom + BELOW_CHIN * height, lowest),
            left + WITHIN_SIDES * width,
            right - WITHIN_SIDES * width,
        ]
    )


def padded(boxes: ExactBox, pads: Pads) -> Boxes:
    """Extend boxes (n, 4) by ``pads`` and round them; nan becomes -1.

    Boxes are not cut at the frame's border: a cut box would show the model a squeezed face. Sampling
    repeats the border's pixels there.
    """
    height, width = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    grown = np.stack(
        [
            boxes[:, 0] - pads.top * height,
            boxes[:, 1] + pads.bottom * height,
            boxes[:, 2] - pads.left * width,
            boxes[:, 3] + pads.right * width,
        ],
        axis=1,
    )
    return np.where(np.isnan(grown), -1, np.rint(grown)).astype(np.int32)


def crop_affine(box: Box | ExactBox, size: int) -> Affine:
    """Map pixels of the ``size`` x ``size`` crop of ``box`` to positions in the frame.

    Pixel centres lie at half-integers of both grids' edges, as ``cv2.resize`` has it.
    """
    top, bottom, left, right = (float(edge) for edge in box)
    across, down = (right - left) / size, (bottom - top) / size
    return np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
