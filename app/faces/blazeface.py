"""BlazeFace, MediaPipe's full-range face detector: finds faces from a fifth of the frame up to all of it.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019. The picture
is 192x192 with black bars; a grid of 48x48 cells answers, each with a score, a box and six keypoints as
offsets, in pixels, from the cell's centre.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.geometry import is_large
from app.faces.networks import INPUT_SIZE, Network
from app.faces.regions import shrink
from app.faces.types import Detection, ExactBox
from app.media.frames import FrameLayout, I420Frame

Answers = npt.NDArray[np.float64]
"""float64 (k, 16): centre x, y, width, height, then x, y of six keypoints (right eye, left eye, nose, mouth,
right ear, left ear) of each answer above the threshold."""

Scores = npt.NDArray[np.float64]
"""float64 (k,): 0..1, one for each answer."""

GRID: Final = 48
MIN_SCORE: Final = 0.6
"""Least score of a face (MediaPipe's full-range graph)."""

MIN_OVERLAP: Final = 0.3
"""Intersection over union from which two answers mean the same face (MediaPipe)."""

TILE_SHARE: Final = 0.6
"""Side of a tile of the thorough search, as a share of the frame's shorter side."""

CLOSE_UP: Final = 0.5
"""What is added around a frame that shows nothing else, to find a face that is cut by its edges."""


class BlazeFace:
    """The built-in detector; runs on the CPU in a few milliseconds."""

    name: str = "blazeface-full-range"
    crops_like_training: bool = False

    def __init__(self) -> None:
        self._network = Network("face_detection_full_range.tflite", offset=127.5, divisor=127.5)
        cells = (np.arange(GRID) + 0.5) * INPUT_SIZE / GRID
        self._centers = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        """Return the faces in ``frame``, best score first.

        ``thorough`` looks through the frame tile by tile if it shows no large face as a whole, and at last
        for one that is larger than the frame.
        """
        whole = np.array([0.0, layout.height, 0, layout.width])
        found = [self._look(frame, layout, whole)]
        detections = merge(*found[0])
        if not thorough or any(is_large(detection.box, layout) for detection in detections):
            return detections
        found += [self._look(frame, layout, tile) for tile in _tiles(layout)]
        if not any(len(answers) for answers, _ in found):
            found.append(self._look(frame, layout, whole, CLOSE_UP))
        return merge(np.concatenate([a for a, _ in found]), np.concatenate([s for _, s in found]))

    def _look(
        self, frame: I420Frame, layout: FrameLayout, part: ExactBox, border: float = 0.0
    ) -> tuple[Answers, Scores]:
        """Run the network on one part of the frame; return answers in luma pixels.

        Around it the edge is repeated for ``border`` of its width and height on each side.
        """
        top, bottom, left, right = part
        scale = max(bottom - top, right - left) * (1 + 2 * border) / INPUT_SIZE
        width, height = (max(1, round(side / scale)) for side in (right - left, bottom - top))
        x, y = (INPUT_SIZE - width) // 2, (INPUT_SIZE - height) // 2
        picture = np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        aside, above = int(border * width), int(border * height)
        picture[y - above : y + height + above, x - aside : x + width + aside] = cv2.copyMakeBorder(
            shrink(frame, layout, part, (width, height)), above, above, aside, aside, cv2.BORDER_REPLICATE
        )
        offsets, logits = (output[0].astype(np.float64) for output in self._network(picture))
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -100, 100)))
        good = scores >= MIN_SCORE
        answers = offsets[good].reshape(-1, 8, 2)
        answers[:, [0, 2, 3, 4, 5, 6, 7]] += self._centers[good, None] - [x, y]
        answers *= [(right - left) / width, (bottom - top) / height]
        answers[:, [0, 2, 3, 4, 5, 6, 7]] += [left - 0.5, top - 0.5]
        return answers.reshape(-1, 16), scores[good]


def merge(answers: Answers, scores: Scores) -> list[Detection]:
    """Merge answers that mean the same face into their score-weighted mean, best score first."""
    corners = np.hstack([answers[:, :2] - answers[:, 2:4] / 2, answers[:, :2] + answers[:, 2:4] / 2])
    left = np.argsort(-scores)
    detections = []
    while len(left):
        same = _overlap(corners[left[0]], corners[left]) >= MIN_OVERLAP
        group = left[same]
        mean = np.average(answers[group], axis=0, weights=scores[group])
        x, y, width, height = mean[:4]
        box = np.array([y - height / 2, y + height / 2, x - width / 2, x + width / 2])
        detections.append(Detection(box, float(scores[left[0]]), mean[4:].reshape(6, 2)))
        left = left[~same]
    return detections


def _overlap(corner: Answers, corners: Answers) -> Scores:
    """Return the intersection over union of one box (x1, y1, x2, y2) with each of ``corners``."""
    low, high = np.maximum(corner[:2], corners[:, :2]), np.minimum(corner[2:], corners[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    overlap: Scores = common / (areas + (corner[2:] - corner[:2]).prod() - common)
    return overlap


def _tiles(layout: FrameLayout) -> list[ExactBox]:
    """Return squares that cover the frame and overlap by a fifth or more, at even positions."""
    side = int(TILE_SHARE * min(layout.width, layout.height)) & ~1
    if not side:
        return []
    return [
        np.array([top, top + side, left, left + side], np.float64)
        for top in _starts(layout.height, side)
        for left in _starts(layout.width, side)
    ]


def _starts(length: int, side: int) -> list[int]:
    count = 1 + int(np.ceil((length - side) / (0.8 * side)))
    return [int(start) & ~1 for start in np.linspace(0, length - side, count)]
