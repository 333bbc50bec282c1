import numpy as np

from app.faces.detector import load_detector
from app.faces.following import Follower
from app.faces.types import Detection
from app.media.frames import FrameLayout, I420Frame
from tests.support.clips import moving_portrait
from tests.support.frames import i420

LAYOUT = FrameLayout(320, 240)


class SecondSight:
    """BlazeFace, but every face is reported a second time, two thirds of its size to the side."""

    name = "second-sight"
    crops_like_training = False

    def __init__(self) -> None:
        self._detector = load_detector("blazeface")

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        found = self._detector.detect(frame, layout, thorough=thorough)
        aside = [np.array([0, 0, 1, 1]) * 0.65 * (face.box[3] - face.box[2]) for face in found]
        return found + [Detection(face.box + move, 0.7) for face, move in zip(found, aside, strict=True)]


def follow(follower: Follower, first: int, last: int) -> None:
    for index in range(first, last):
        follower.take(index, i420(moving_portrait(index, 320, 240), LAYOUT))


def test_a_face_that_is_reported_twice_is_followed_once() -> None:
    follower = Follower(LAYOUT, 25, SecondSight())
    follow(follower, 0, 30)
    assert [len(run.sightings) for run in follower.runs] == [30]


def test_the_landmarks_move_with_the_head() -> None:
    follower = Follower(LAYOUT, 25, load_detector("blazeface"))
    follow(follower, 0, 30)
    (run,) = follower.runs
    for sighting in run.sightings[::5]:
        alone = Follower(LAYOUT, 25, load_detector("blazeface"))
        follow(alone, sighting.frame, sighting.frame + 1)
        difference = alone.runs[0].last.fit.landmarks - sighting.fit.landmarks
        assert np.abs(difference).mean() < 1.0
