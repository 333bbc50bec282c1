import cv2
import numpy as np
import pytest

from app.faces.blazeface import BlazeFace, merge
from app.media.frames import FrameLayout
from tests.support.clips import moving_portrait, portrait
from tests.support.frames import i420


def answer(x: float, y: float, size: float) -> list[float]:
    return [x, y, size, size, *[x, y] * 6]


def test_answers_that_overlap_are_averaged_by_their_scores() -> None:
    detections = merge(np.array([answer(100, 50, 40), answer(108, 50, 40)]), np.array([0.9, 0.6]))
    assert len(detections) == 1
    assert detections[0].score == 0.9
    assert detections[0].box == pytest.approx([30, 70, 83.2, 123.2])
    assert detections[0].keypoints == pytest.approx(np.full((6, 2), [103.2, 50]))


def test_answers_that_hardly_touch_are_faces_of_their_own_best_first() -> None:
    answers = np.array([answer(100, 50, 40), answer(130, 50, 40), answer(300, 50, 40)])
    assert [d.score for d in merge(answers, np.array([0.7, 0.8, 0.9]))] == [0.9, 0.8, 0.7]


def test_no_answers_are_no_faces() -> None:
    assert merge(np.empty((0, 16)), np.empty(0)) == []


@pytest.mark.parametrize(("width", "height"), [(512, 512), (176, 144), (360, 640), (1280, 720)])
def test_eyes_nose_and_mouth_are_found_in_frames_of_any_shape(width: int, height: int) -> None:
    layout = FrameLayout(width, height)
    detections = BlazeFace().detect(i420(moving_portrait(0, width, height), layout), layout)
    assert len(detections) == 1
    assert detections[0].keypoints is not None
    right_eye, left_eye, nose, mouth = detections[0].keypoints[:4]
    top, bottom, left, right = detections[0].box
    assert top < right_eye[1] < nose[1] < mouth[1] < bottom
    assert left < right_eye[0] < nose[0] < left_eye[0] < right


def test_a_small_face_is_found_by_the_thorough_search_only() -> None:
    layout = FrameLayout(1280, 720)
    picture = np.full((720, 1280, 3), 90, np.uint8)
    picture[300:428, 900:1028] = portrait()[::4, ::4]
    frame = i420(picture, layout)
    detector = BlazeFace()
    assert detector.detect(frame, layout) == []
    (face,) = detector.detect(frame, layout, thorough=True)
    assert 310 < face.box[0] < face.box[1] < 360
    assert 935 < face.box[2] < face.box[3] < 980


def test_a_face_that_is_larger_than_the_frame_is_found_by_the_thorough_search_only() -> None:
    close = cv2.resize(portrait()[95:165, 170:270], None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    layout = FrameLayout(600, 420)
    frame = i420(np.asarray(close, np.uint8), layout)
    detector = BlazeFace()
    assert detector.detect(frame, layout) == []
    (face,) = detector.detect(frame, layout, thorough=True)
    assert face.box[0] < 0 < 420 < face.box[1]
    assert 0 < face.box[2] < 300 < face.box[3]
