import cv2
import numpy as np
import pytest

from app.faces.boxes import box_of_landmarks, crop_affine, padded
from app.faces.types import DEFAULT_PADS, Box, FaceLandmarks, Pads
from app.media.frames import FrameLayout
from tests.support.clips import portrait
from tests.support.faces import portrait_face
from tests.support.frames import i420

EYES, NOSE, LIPS, CHIN = [33, 133, 362, 263], [1, 4], [13, 14], [152]


def height_of(points: list[int], landmarks: FaceLandmarks, box: Box) -> float:
    return float((landmarks[points, 1].mean() - box[0]) / (box[1] - box[0]))


def leaning(landmarks: FaceLandmarks, degrees: float) -> FaceLandmarks:
    matrix = cv2.getRotationMatrix2D(tuple(map(float, landmarks.mean(axis=0))), degrees, 1.0)
    return np.asarray(landmarks @ matrix[:, :2].T + matrix[:, 2], np.float32)


def test_features_lie_where_the_models_training_crops_had_them() -> None:
    landmarks, _ = portrait_face()
    box = padded(box_of_landmarks(landmarks)[None], Pads(bottom=0))[0]
    assert height_of(EYES, landmarks, box) == pytest.approx(0.40, abs=0.02)
    assert height_of(NOSE, landmarks, box) == pytest.approx(0.60, abs=0.02)
    assert height_of(LIPS, landmarks, box) == pytest.approx(0.76, abs=0.02)
    assert height_of(CHIN, landmarks, box) == pytest.approx(0.98, abs=0.01)
    assert (box[3] - box[2]) / (box[1] - box[0]) == pytest.approx(0.73, abs=0.03)


@pytest.mark.parametrize("degrees", [-90, -60, -30, 30, 60, 90, 180])
def test_a_leaning_head_still_lies_in_its_box(degrees: float) -> None:
    landmarks = leaning(portrait_face()[0], degrees)
    top, bottom, left, right = box_of_landmarks(landmarks)
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    assert top <= low[1] + 1
    assert bottom >= high[1]
    assert right - left == pytest.approx(0.96 * (high[0] - low[0]), rel=0.01)


def test_pads_are_shares_of_the_boxs_height_and_width() -> None:
    box = np.array([[100.0, 300.0, 50.0, 150.0]])
    assert padded(box, DEFAULT_PADS).tolist() == [[100, 310, 50, 150]]
    pads = Pads(top=0.1, bottom=0.2, left=0.3, right=-0.1)
    assert padded(box, pads).tolist() == [[80, 340, 20, 140]]


def test_boxes_reach_beyond_the_frame_and_missing_ones_become_minus_one() -> None:
    boxes = np.array([[-20.4, 60.2, -10.0, 50.0], [np.nan] * 4])
    assert padded(boxes, Pads(bottom=0)).tolist() == [[-20, 60, -10, 50], [-1] * 4]


def test_the_crop_is_the_one_that_resizing_the_slice_gives() -> None:
    layout = FrameLayout(512, 512)
    frame = i420(portrait(), layout)
    box = np.array([60, 231, 160, 289], np.int32)
    crop = layout.sample_bgr(frame, crop_affine(box, 96), (96, 96))
    resized = cv2.resize(layout.to_bgr(frame)[60:231, 160:289], (96, 96), interpolation=cv2.INTER_LINEAR)
    assert np.abs(crop[1:-1, 1:-1].astype(int) - resized[1:-1, 1:-1]).mean() < 1.0
