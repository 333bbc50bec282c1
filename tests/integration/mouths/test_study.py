"""A study of real pictures: of no more than is shown of a face, and whether or not the cuts are known."""

import asyncio
import io

import cv2
import numpy as np
import pytest

from app.faces.detector import load_detector
from app.faces.tracking import track_face
from app.faces.types import FaceTrack
from app.media.frames import FrameLayout, I420Frame
from app.mouths.ahead import StudyAhead
from app.mouths.study import Study, study_frames
from tests.support.clips import moving_portrait
from tests.support.frames import Listed, i420
from tests.support.waiting import until

LAYOUT = FrameLayout(320, 240)
FPS = 25.0


@pytest.fixture(scope="module")
def frames() -> list[I420Frame]:
    """Two shots of one head, a hand before it in the second, and nobody in between."""
    pictures = [moving_portrait(index, LAYOUT.width, LAYOUT.height) for index in range(24)]
    pictures[12:14] = [np.full_like(pictures[0], 240)] * 2
    for picture in pictures[14:]:
        picture[:] = np.roll(picture, 40, axis=1)
    for picture in pictures[17:21]:
        cv2.rectangle(picture, (175, 90), (215, 150), (95, 110, 140), cv2.FILLED)
    return [i420(picture, LAYOUT) for picture in pictures]


@pytest.fixture(scope="module")
def track(frames: list[I420Frame]) -> FaceTrack:
    return track_face(frames, LAYOUT, fps=FPS, detector=load_detector("blazeface"))


def arrays(study: Study) -> bytes:
    file = io.BytesIO()
    study.save(file)
    return file.getvalue()


def test_a_study_is_the_same_with_the_cuts_of_the_track_and_without(
    frames: list[I420Frame], track: FaceTrack
) -> None:
    common = Listed(frames), LAYOUT, FPS, track.boxes, track.landmarks, lambda: None, track.meshes.copy()
    told, found = study_frames(*common, track.cuts), study_frames(*common)
    assert set(told.takes[np.isfinite(told.meshes[:, 0, 0])]) == {0, 1}
    assert told.covers.lips[18] > told.covers.lips[0] + 0.2
    assert arrays(told) == arrays(found)


def test_blurred_frames_are_known_whatever_their_light() -> None:
    pictures = [moving_portrait(index, 640, 480) for index in range(16)]
    for index, picture in enumerate(pictures):
        if index // 4 % 2:
            picture[:] = cv2.blur(picture, (11, 1))
        picture[:] = (picture * (0.5 + 0.03 * index)).astype(np.uint8)
    layout = FrameLayout(640, 480)
    frames = [i420(picture, layout) for picture in pictures]
    track = track_face(frames, layout, fps=FPS, detector=load_detector("blazeface"))
    sharp = study_frames(
        Listed(frames), layout, FPS, track.boxes, track.landmarks, meshes=track.meshes
    ).sharpness
    blurred = np.arange(16) // 4 % 2 == 1
    assert sharp[blurred].max() < sharp[~blurred].min() - 0.05


def test_only_what_is_shown_of_a_frame_is_read(frames: list[I420Frame], track: FaceTrack) -> None:
    source = Listed(frames)
    study_frames(source, LAYOUT, FPS, track.boxes, track.landmarks, meshes=track.meshes, cuts=track.cuts)
    assert 0 < source.bytes_read < 0.8 * track.face_frames * LAYOUT.frame_bytes


@pytest.mark.parametrize("expected", [10, 24, 400])
def test_what_was_studied_ahead_is_not_studied_again_and_changes_nothing(
    frames: list[I420Frame], track: FaceTrack, expected: int
) -> None:
    alone, together = Listed(frames), Listed(frames)
    common = LAYOUT, FPS, track.boxes, track.landmarks, lambda: None
    study = study_frames(alone, *common, track.meshes.copy(), track.cuts)
    early = [index for index in (*range(10), *range(14, 22)) if index < expected]
    with StudyAhead(Listed(frames), LAYOUT, FPS, expected) as ahead:
        for index in (*early, 400):
            aside = 2.0 if index in (3, 4) else 0.0  # the face did not come out there
            ahead.take(index, track.landmarks[index % 24] + np.float32(aside), track.meshes[index % 24])
        asyncio.run(until(lambda: ahead.notes.measured.sum() == len(early)))
    again = study_frames(together, *common, track.meshes.copy(), track.cuts, ahead.notes)
    assert arrays(again) == arrays(study)
    assert together.bytes_read < alone.bytes_read


def test_a_frame_that_cannot_be_studied_ahead_is_studied_afterwards(
    frames: list[I420Frame], track: FaceTrack
) -> None:
    with StudyAhead(Listed([]), LAYOUT, FPS, len(frames)) as ahead:
        ahead.take(0, track.landmarks[0], track.meshes[0])
    common = Listed(frames), LAYOUT, FPS, track.boxes, track.landmarks, lambda: None
    study = study_frames(*common, track.meshes.copy(), track.cuts)
    again = study_frames(*common, track.meshes.copy(), track.cuts, ahead.notes)
    assert arrays(again) == arrays(study)


def test_at_a_low_frame_rate_a_hand_is_seen_that_comes_and_goes_within_a_few_frames() -> None:
    pictures = [moving_portrait(index, LAYOUT.width, LAYOUT.height) for index in range(9)]
    for picture in pictures[4:6]:
        cv2.rectangle(picture, (135, 90), (175, 150), (95, 110, 140), cv2.FILLED)
    frames = [i420(picture, LAYOUT) for picture in pictures]
    track = track_face(frames, LAYOUT, fps=5, detector=load_detector("blazeface"))
    lips = study_frames(Listed(frames), LAYOUT, 5, track.boxes, track.landmarks).covers.lips
    assert lips[4:6].min() > lips[[3, 6]].max() + 0.2
