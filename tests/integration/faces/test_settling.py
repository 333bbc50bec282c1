import numpy as np
import pytest

from app.faces.detector import FaceDetector, load_detector
from app.faces.settling import Settling
from app.faces.tracking import track_face
from app.faces.types import FaceChoice, FaceLandmarks, FaceMeshPoints, FaceTrack
from app.media.frames import BgrImage, FrameLayout
from tests.support.clips import moving_portrait
from tests.support.frames import i420

LAYOUT = FrameLayout(320, 240)
PAIR = FrameLayout(640, 240)
COUNT = 60


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return load_detector("blazeface")


class Told:
    """The frames that were told, and what was told of them."""

    def __init__(self) -> None:
        self.landmarks: dict[int, FaceLandmarks] = {}
        self.meshes: dict[int, FaceMeshPoints] = {}
        self.order: list[int] = []

    def take(self, index: int, landmarks: FaceLandmarks, mesh: FaceMeshPoints) -> None:
        self.order.append(index)
        self.landmarks[index], self.meshes[index] = landmarks, mesh

    def as_in(self, track: FaceTrack) -> int:
        """Return of how many frames the track came out as it was told."""
        return sum(
            np.array_equal(track.landmarks[index], self.landmarks[index])
            and np.array_equal(track.meshes[index], self.meshes[index])
            for index in self.order
        )


def followed(
    pictures: list[BgrImage], layout: FrameLayout, detector: FaceDetector, **options: object
) -> tuple[FaceTrack, Told]:
    told = Told()
    frames = [i420(picture, layout) for picture in pictures]
    track = track_face(frames, layout, fps=25, detector=detector, settled=told.take, **options)  # type: ignore[arg-type]
    assert told.order == sorted(set(told.order))
    return track, told


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 0.5])
def test_faces_are_settled_where_they_come_out_while_others_are_followed(
    detector: FaceDetector, smoothing: float
) -> None:
    pictures = [moving_portrait(index, 320, 240) for index in range(COUNT)]
    track, told = followed(pictures, LAYOUT, detector, smoothing=smoothing)
    assert told.as_in(track) == len(told.order) >= 32


def test_after_a_cut_and_a_gap_frames_are_told_again(detector: FaceDetector) -> None:
    pictures = [moving_portrait(index, 320, 240) for index in range(COUNT)]
    pictures[24:26] = [np.full_like(pictures[0], 240)] * 2
    for picture in pictures[26:]:
        picture[:] = np.roll(picture, 40, axis=1)
    track, told = followed(pictures, LAYOUT, detector)
    assert not {24, 25} & set(told.order)
    assert told.as_in(track) == len(told.order) >= 32


def test_of_two_faces_the_larger_is_settled_and_none_where_the_order_decides(detector: FaceDetector) -> None:
    pictures = []
    for index in range(COUNT):
        small = np.full((240, 320, 3), 120, np.uint8)
        small[:144, :192] = moving_portrait(index + 30, 192, 144)
        pictures.append(np.hstack([moving_portrait(index, 320, 240), small]))
    track, told = followed(pictures, PAIR, detector)
    assert told.as_in(track) == len(told.order) >= 32
    _, told = followed(pictures, PAIR, detector, choice=FaceChoice("right"))
    assert told.order == []


def test_nothing_is_settled_while_no_face_is_in_sight() -> None:
    told = Told()
    settling = Settling(FaceChoice(), 3, told.take)
    for _ in range(40):
        settling.take([])
    assert told.order == []
