import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import pytest

from app.errors import InvalidRequest, JobCanceled, NoFace
from app.faces import tracking
from app.faces.detector import FaceDetector, load_detector
from app.faces.face_mesh import POINTS, MeshFit
from app.faces.following import Run, Sighting
from app.faces.tracking import track_face
from app.faces.types import Detection, FaceChoice, FaceTrack, Pads, has_face
from app.media.frames import BgrImage, FrameLayout, I420Frame
from app.mouths.study import takes_of
from tests.support.clips import moving_portrait, portrait
from tests.support.frames import i420

WIDTH, HEIGHT = 320, 240
LAYOUT = FrameLayout(WIDTH, HEIGHT)
PAIR = FrameLayout(2 * WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return load_detector("blazeface")


def head(index: int) -> BgrImage:
    return moving_portrait(index, WIDTH, HEIGHT)


def blank() -> BgrImage:
    return np.full((HEIGHT, WIDTH, 3), 120, np.uint8)


def covered(index: int) -> BgrImage:
    """The head with a hand, as it were, before its face."""
    picture = head(index)
    cv2.rectangle(picture, (120, 30), (205, 130), (95, 110, 140), cv2.FILLED)
    return picture


def pair(index: int, *, right_size: float = 0.6) -> BgrImage:
    """Two heads beside one another; the right one is smaller."""
    small = cv2.resize(head(index + 30), None, fx=right_size, fy=right_size)
    other = blank()
    other[: small.shape[0], : small.shape[1]] = small
    return np.hstack([head(index), other])


def track(
    pictures: Iterable[BgrImage], detector: FaceDetector, layout: FrameLayout = LAYOUT, **options: object
) -> FaceTrack:
    frames = (i420(picture, layout) for picture in pictures)
    return track_face(frames, layout, fps=25, detector=detector, **options)  # type: ignore[arg-type]


def test_a_head_is_found_on_every_frame_in_a_crop_as_in_training(detector: FaceDetector) -> None:
    result = track((head(index) for index in range(40)), detector)
    assert result.face_frames == len(result.boxes) == 40
    assert result.detector == "blazeface-full-range"
    top, bottom = result.boxes[:, 0], result.boxes[:, 1]
    for points, share in (([33, 133, 362, 263], 0.38), ([1, 4], 0.57), ([13, 14], 0.72), ([152], 0.93)):
        height = (result.landmarks[:, points, 1].mean(axis=1) - top) / (bottom - top)
        assert np.median(height) == pytest.approx(share, abs=0.03)


def test_frames_without_a_face_are_marked_and_the_face_is_found_again(detector: FaceDetector) -> None:
    pictures = (
        [head(index) for index in range(15)] + [blank()] * 10 + [head(index) for index in range(15, 30)]
    )
    result = track(pictures, detector)
    assert has_face(result.boxes).tolist() == [True] * 15 + [False] * 10 + [True] * 15
    assert (result.boxes[15:25] == -1).all()
    assert np.isnan(result.landmarks[15:25]).all()
    assert not np.isnan(result.landmarks[:15]).any()


@pytest.mark.parametrize(("hidden", "shown"), [(2, 30), (10, 20)])
def test_a_face_hidden_for_a_moment_counts_as_there_but_not_for_longer(
    hidden: int, shown: int, detector: FaceDetector
) -> None:
    pictures = [covered(index) if 10 <= index < 10 + hidden else head(index) for index in range(30)]
    result = track(pictures, detector)
    assert has_face(result.boxes).sum() == shown
    assert has_face(result.boxes)[10] == (shown == 30)
    whole = track((head(index) for index in range(30)), detector)
    seen = has_face(result.boxes)
    assert np.abs(result.boxes[seen] - whole.boxes[seen]).max() <= 3


@pytest.mark.parametrize(
    ("rule", "columns"), [("largest", 0), ("left", 0), ("0", 0), ("right", WIDTH), ("1", WIDTH)]
)
def test_one_of_two_people_is_followed_throughout(rule: str, columns: int, detector: FaceDetector) -> None:
    result = track((pair(index) for index in range(20)), detector, PAIR, choice=FaceChoice(rule))
    assert result.face_frames == 20
    centers = result.boxes[:, 2:].mean(axis=1)
    assert ((centers >= columns) & (centers < columns + WIDTH)).all()


def test_a_third_person_of_two_is_refused(detector: FaceDetector) -> None:
    with pytest.raises(NoFace, match="only 2 faces"):
        track((pair(index) for index in range(5)), detector, PAIR, choice=FaceChoice("2"))


def test_across_a_cut_the_choice_is_made_anew(detector: FaceDetector) -> None:
    def mirrored(index: int) -> BgrImage:
        return np.ascontiguousarray(pair(index)[:, ::-1])

    pictures = [pair(index) for index in range(10)] + [mirrored(index) for index in range(10)]
    result = track(pictures, detector, PAIR)
    assert result.face_frames == 20
    left = result.boxes[:, 3] < WIDTH
    assert left.tolist() == [True] * 10 + [False] * 10


@pytest.mark.parametrize("kind", ["blank", "noise", "stripes"])
def test_a_video_without_a_face_is_refused(kind: str, detector: FaceDetector) -> None:
    rng = np.random.default_rng(3)
    stripes = np.repeat((np.arange(WIDTH) // 20 % 2 * 200 + 20)[None, :, None], 3, axis=2)
    makers: dict[str, Callable[[], BgrImage]] = {
        "blank": blank,
        "noise": lambda: rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        "stripes": lambda: np.repeat(stripes, HEIGHT, axis=0).astype(np.uint8),
    }
    with pytest.raises(NoFace, match="No face was found"):
        track((makers[kind]() for _ in range(12)), detector)


def test_a_face_in_a_single_frame_is_an_accident(detector: FaceDetector) -> None:
    with pytest.raises(NoFace, match="No face was found"):
        track([blank()] * 5 + [head(0)] + [blank()] * 5, detector)


def test_a_video_of_one_frame_is_enough_and_one_of_none_is_not(detector: FaceDetector) -> None:
    assert track([head(0)], detector).face_frames == 1
    with pytest.raises(NoFace, match="No face was found"):
        track([], detector)


def test_a_small_face_in_a_large_frame_is_followed(detector: FaceDetector) -> None:
    layout = FrameLayout(1280, 720)

    def far_away(index: int) -> BgrImage:
        picture = np.full((720, 1280, 3), 90, np.uint8)
        picture[300:428, 900 + index : 1028 + index] = portrait()[::4, ::4]
        return picture

    result = track((far_away(index) for index in range(6)), detector, layout)
    assert result.face_frames == 6
    assert (result.boxes[:, 3] - result.boxes[:, 2] < 50).all()


def test_the_box_stays_on_a_head_in_steady_motion(detector: FaceDetector) -> None:
    wide = np.pad(moving_portrait(0, WIDTH, HEIGHT), ((0, 0), (100, 0), (0, 0)), mode="edge")
    pan = [np.ascontiguousarray(wide[:, 2 * index : 2 * index + WIDTH]) for index in range(40)]
    result = track(pan, detector, smoothing=0.4)
    centers = result.boxes[:, 2:].mean(axis=1) + 2 * np.arange(40)
    assert np.abs(centers - np.median(centers)).max() <= 2


def test_smoothing_calms_the_box_and_none_leaves_it(detector: FaceDetector) -> None:
    rng = np.random.default_rng(4)
    shaken = [np.roll(head(0), tuple(rng.integers(-3, 4, 2)), axis=(0, 1)) for _ in range(30)]
    rough = track(shaken, detector, smoothing=0).boxes
    calm = track(shaken, detector, smoothing=0.4).boxes
    assert rough[:, 0].std() > 1
    assert calm[:, 0].std() < 0.5 * rough[:, 0].std()
    assert calm.mean(axis=0) == pytest.approx(rough.mean(axis=0), abs=1)


def test_pads_move_the_edges_by_shares_of_the_box(detector: FaceDetector) -> None:
    plain = track([head(0)], detector, pads=Pads(bottom=0)).boxes[0]
    padded = track([head(0)], detector, pads=Pads(top=0.5, bottom=0.1, left=-0.1, right=0.2)).boxes[0]
    height, width = plain[1] - plain[0], plain[3] - plain[2]
    moves = np.array([-0.5 * height, 0.1 * height, 0.1 * width, 0.2 * width])
    assert padded - plain == pytest.approx(moves, abs=1.5)


def test_pads_that_leave_nothing_of_the_face_are_refused(detector: FaceDetector) -> None:
    small = np.pad(head(0)[::3, ::3], ((0, 160), (0, 213), (0, 0)), mode="edge")
    with pytest.raises(NoFace, match="pads leave nothing"):
        track([small], detector, pads=Pads(left=-0.499, right=-0.499))


def test_frames_are_read_once_and_not_kept(detector: FaceDetector) -> None:
    alive: list[weakref.ref[I420Frame]] = []
    most = 0

    def frames() -> Iterator[I420Frame]:
        nonlocal most
        for index in range(12):
            frame = i420(head(index), LAYOUT)
            alive.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in alive))
            yield frame
            del frame

    track_face(frames(), LAYOUT, fps=25, detector=detector)
    assert len(alive) == 12
    assert most <= 2


def test_progress_counts_up_to_the_expected_frames_and_may_stop_the_work(detector: FaceDetector) -> None:
    calls: list[tuple[int, int]] = []

    def stop_at_three(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 3:
            raise JobCanceled("Canceled.")

    with pytest.raises(JobCanceled):
        track((head(0) for _ in range(9)), detector, expected_frames=9, progress=stop_at_three)
    assert calls == [(1, 9), (2, 9), (3, 9)]


def test_a_smoothing_out_of_range_is_refused_before_anything_is_read(detector: FaceDetector) -> None:
    with pytest.raises(InvalidRequest):
        track([head(0)], detector, smoothing=7.0)


class TrainingDetector:
    """A detector whose boxes are in the convention of the training crops, like S3FD's."""

    name = "training"
    crops_like_training = True

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        self.calls += 1
        return [Detection(np.array([30.0, 140, 110, 210]), 0.9)]


def test_a_detector_trained_like_the_crops_is_asked_on_every_frame_for_the_box() -> None:
    detector = TrainingDetector()
    result = track((head(0) for _ in range(8)), detector, pads=Pads(bottom=0))
    assert detector.calls == 8
    assert (result.boxes == [30, 140, 110, 210]).all()
    lips = result.landmarks[:, [13, 14]].mean(axis=1)
    assert ((lips > [120, 80]) & (lips < [200, 130])).all()


SHIFTED = np.array([48.0, 0.0])
"""15 % of the frame: half of the face."""


@pytest.mark.parametrize("gain", [1.0, 0.25])
@pytest.mark.parametrize("shift", [SHIFTED, SHIFTED / 3], ids=["far", "near"])
def test_on_either_side_of_a_jump_the_face_lies_as_if_there_were_no_other_side(
    shift: np.ndarray, gain: float, detector: FaceDetector
) -> None:
    def aside(picture: BgrImage) -> BgrImage:
        return np.roll(picture, int(shift[0]), axis=1)

    first = [(head(index) * gain).astype(np.uint8) for index in range(20)]
    second = [aside((head(60 + index) * gain).astype(np.uint8)) for index in range(20)]
    joined = track(first + second, detector)
    alone = [track(first, detector), track(second, detector)]
    assert joined.face_frames == 40
    for frames, piece in ((slice(14, 20), alone[0].landmarks[14:]), (slice(20, 26), alone[1].landmarks[:6])):
        aside_by = np.linalg.norm(joined.landmarks[frames] - piece, axis=2).mean(axis=1)
        assert aside_by.max() < 0.5  # pixels; the face has 95
    boxes = np.concatenate([alone[0].boxes, alone[1].boxes])
    assert np.abs(joined.boxes - boxes).max() <= 1


def test_through_a_flash_a_face_is_followed_as_if_there_were_none(detector: FaceDetector) -> None:
    pictures = [head(index) for index in range(40)]
    whole = track(pictures, detector)
    for index, gain in ((12, 3.0), (25, 8.0), (26, 2.5)):
        pictures[index] = np.clip(pictures[index] * gain + 40, 0, 255).astype(np.uint8)
    flashed = track(pictures, detector)
    assert not flashed.cuts.any()
    assert has_face(flashed.boxes).all()
    calm = np.r_[0:8, 16:21, 30:40]
    assert np.abs(flashed.landmarks[calm] - whole.landmarks[calm]).max() < 0.5
    assert np.abs(flashed.landmarks - whole.landmarks).max() < 3


def test_whoever_stands_where_another_one_dissolved_is_of_another_take(detector: FaceDetector) -> None:
    pictures = []
    for index in range(60):
        one, share = head(index).astype(np.float32), np.clip((index - 25) / 15, 0, 1)
        pictures.append(np.rint((1 - share) * one + share * one[:, ::-1]).astype(np.uint8))
    result = track(pictures, detector)
    (cut,) = np.flatnonzero(result.cuts)
    assert 28 <= cut <= 37
    assert result.face_frames == 60
    assert takes_of(result.cuts, result.boxes, np.ones(60, np.bool_), 25).tolist() == [0] * cut + [1] * (
        60 - cut
    )


def test_landmarks_are_not_smoothed_across_a_dissolve(detector: FaceDetector) -> None:
    one = head(0).astype(np.float32)
    other = np.roll(one[:, ::-1], (12, 24), axis=(0, 1))
    shares = np.clip((np.arange(60) - 25) / 15, 0, 1)
    pictures = [np.rint((1 - share) * one + share * other).astype(np.uint8) for share in shares]
    whole = track(pictures, detector, smoothing=0.8)
    (cut,) = np.flatnonzero(whole.cuts)
    before, after = (track(part, detector, smoothing=0.8) for part in (pictures[:cut], pictures[cut:]))
    assert np.abs(whole.landmarks[cut - 1] - before.landmarks[-1]).max() < 2
    assert np.abs(whole.landmarks[cut] - after.landmarks[0]).max() < 2


def test_a_short_view_of_the_head_from_nearer_is_no_flash(detector: FaceDetector) -> None:
    pictures = [head(index) for index in range(40)]
    for index in range(20, 23):
        near = cv2.resize(head(index)[:150, 70:270], (WIDTH, HEIGHT))
        pictures[index] = np.asarray(near, np.uint8)
    result = track(pictures, detector)
    assert np.flatnonzero(result.cuts).tolist() == [20, 23]
    heights = np.diff(result.boxes[:, :2], axis=1)[:, 0]
    assert heights[20:23].min() > 1.4 * np.delete(heights, [20, 21, 22]).max()


def test_faces_that_were_followed_are_not_kept_beside_what_is_made_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten minutes would take half as much again."""
    monkeypatch.setattr(tracking, "_POINTS_AT_ONCE", 1 << 12)
    tracemalloc.start()
    run, count = Run(0), 500
    for index in range(count):
        mesh = np.full((POINTS, 3), index, np.float32)
        run.sightings.append(Sighting(index, np.full(4, index, np.float64), MeshFit(mesh, 1.0)))
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    boxes, meshes = tracking._spread([run], count)
    tracking._smoothed(boxes, meshes, [(0, count)], 5.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 1.2 * meshes.nbytes


def test_a_face_that_is_followed_for_long_is_smoothed_a_point_at_a_time_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 65,536 frames in a row, there would be more parts than points."""
    rng = np.random.default_rng(5)
    boxes, meshes = rng.normal(size=(9, 4)), rng.normal(size=(9, POINTS, 3)).astype(np.float32)
    together = tracking._smoothed(boxes.copy(), meshes, [(0, 9)], 5.0)
    monkeypatch.setattr(tracking, "_POINTS_AT_ONCE", 1)
    np.testing.assert_allclose(tracking._smoothed(boxes, meshes, [(0, 9)], 5.0), together, atol=1e-6)
