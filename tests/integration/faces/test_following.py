import numpy as np
import pytest

from app.faces import following
from app.faces.detector import load_detector
from app.faces.face_mesh import FaceMesh, MeshFit
from app.faces.following import GLANCE_SECONDS, IDLE_SECONDS, SEARCH_SECONDS, Follower
from app.faces.regions import Region
from app.faces.types import Detection
from app.media.frames import BgrImage, FrameLayout, I420Frame
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


def test_a_face_that_a_second_look_does_not_find_stays_where_the_first_saw_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower = Follower(LAYOUT, 25, load_detector("blazeface"))
    follow(follower, 0, 5)
    known, fit = follower.runs[0].last.fit.region, FaceMesh.fit

    def once(self: FaceMesh, frame: I420Frame, layout: FrameLayout, region: Region) -> MeshFit | None:
        return fit(self, frame, layout, region) if region == known else None

    monkeypatch.setattr(FaceMesh, "fit", once)
    monkeypatch.setattr(follower, "_is_cut", lambda frame: False)
    moved = np.roll(moving_portrait(5, 320, 240), 16, axis=1)
    follower.take(5, i420(moved, LAYOUT))
    assert [run.last.frame for run in follower.runs] == [5]


def test_the_landmarks_move_with_the_head() -> None:
    follower = Follower(LAYOUT, 25, load_detector("blazeface"))
    follow(follower, 0, 30)
    (run,) = follower.runs
    for sighting in run.sightings[::5]:
        alone = Follower(LAYOUT, 25, load_detector("blazeface"))
        follow(alone, sighting.frame, sighting.frame + 1)
        difference = alone.runs[0].last.fit.landmarks - sighting.fit.landmarks
        assert np.abs(difference).mean() < 1.0


class Counting:
    """BlazeFace, and how often it was asked."""

    name = "counting"
    crops_like_training = False

    def __init__(self) -> None:
        self._detector = load_detector("blazeface")
        self.asked = 0

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        self.asked += 1
        return self._detector.detect(frame, layout, thorough=thorough)


BLANK = i420(np.full((240, 320, 3), 90, np.uint8), LAYOUT)


def test_footage_without_a_face_is_searched_only_now_and_then() -> None:
    counting = Counting()
    follower = Follower(LAYOUT, 25, counting)
    for index in range(1000):
        follower.take(index, BLANK)
    follower.end()
    assert follower.runs == []
    assert counting.asked <= 25 * IDLE_SECONDS + 1000 / (25 * GLANCE_SECONDS) + 1


@pytest.mark.parametrize("first", [40, 41, 43, 44, 61])
@pytest.mark.parametrize("size", [1.0, 0.35])
@pytest.mark.parametrize("shown", [3, 30])
def test_a_face_that_appears_late_is_followed_from_its_first_frame(
    monkeypatch: pytest.MonkeyPatch, first: int, size: float, shown: int
) -> None:
    def sightings() -> list[int]:
        follower = Follower(LAYOUT, 25, load_detector("blazeface"))
        for index in range(first + shown):
            follower.take(index, late(index) if index >= first else BLANK)
        follower.end()
        return [sighting.frame for run in follower.runs for sighting in run.sightings]

    def late(index: int) -> I420Frame:
        picture = np.full((240, 320, 3), 90, np.uint8)
        width, height = round(320 * size), round(240 * size)
        picture[:height, :width] = moving_portrait(index, width, height)
        return i420(picture, LAYOUT)

    seen = sightings()
    if size == 1:
        assert seen == list(range(first, first + shown))
        return
    assert len(seen) >= shown - 25 * SEARCH_SECONDS
    monkeypatch.setattr(following, "IDLE_SECONDS", 1e6)
    assert set(seen) >= set(sightings())


class ByRule:
    """Knows of the face in each square of a row."""

    name = "by-rule"
    crops_like_training = False

    def __init__(self, count: int, side: int) -> None:
        layout = FrameLayout(side, side)
        (face,) = load_detector("blazeface").detect(i420(square(side), layout), layout)
        boxes = [face.box + np.array([0, 0, side, side]) * place for place in range(count)]
        self._faces = [Detection(box, face.score) for box in boxes]

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        return self._faces


def square(side: int) -> BgrImage:
    return moving_portrait(0, side, side)


def test_as_many_faces_are_followed_as_a_position_can_name() -> None:
    side, count = 160, 11
    layout = FrameLayout(count * side, side)
    follower = Follower(layout, 25, ByRule(count, side))
    for index in range(3):
        follower.take(index, i420(np.hstack([square(side)] * count), layout))
    assert len(follower.active) == 10
