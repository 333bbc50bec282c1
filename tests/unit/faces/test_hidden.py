from functools import cache

import cv2
import numpy as np
import pytest

from app.faces.agreed import NETWORKS, AgreedFinder
from app.faces.hidden import (
    CROP_SIZE,
    HiddenFinder,
    Shares,
    alignment,
    hidden_mouths,
    lips_ellipse,
    lips_hidden,
)
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage, FrameLayout
from tests.support.clips import portrait
from tests.support.faces import aligned_face, portrait_face

LAYOUT = FrameLayout(512, 512)
UPPER_LIP, LOWER_LIP, CHIN = 13, 14, 152
FPS = 25.0


@cache
def finder() -> AgreedFinder:
    return AgreedFinder()


def crop_of(image: BgrImage) -> tuple[BgrImage, FaceLandmarks]:
    landmarks, _ = portrait_face()
    return aligned_face(image, LAYOUT, landmarks)


def share_of(image: BgrImage) -> float:
    crop, points = crop_of(image)
    return lips_hidden(finder().cover(crop, points)[0], points)


def mouth() -> tuple[int, int]:
    landmarks, _ = portrait_face()
    x, y = landmarks[[UPPER_LIP, LOWER_LIP]].mean(axis=0)
    return round(float(x)), round(float(y))


def with_disc(color: tuple[int, int, int], radius: int = 22) -> BgrImage:
    image = portrait().copy()
    cv2.circle(image, mouth(), radius, color, cv2.FILLED, cv2.LINE_AA)
    return image


def with_fingers() -> BgrImage:
    """Fingers of the portrait's own cheek, from the left, over the mouth."""
    image, (x, y) = portrait().copy(), mouth()
    cheek = portrait()[y - 40 : y - 36, x - 30 : x - 26].reshape(-1, 3).mean(axis=0)
    for finger, shade in zip(range(-2, 2), (1.0, 0.8, 0.95, 0.75), strict=True):
        color = tuple(float(part) * shade for part in cheek)
        start = (x - 110, y + 12 * finger + 20)
        cv2.line(image, start, (x + 24, y + 12 * finger + 6), color, 11, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)


def with_caption() -> BgrImage:
    image, (x, y) = portrait().copy(), mouth()
    cv2.rectangle(image, (x - 150, y - 16), (x + 150, y + 16), (20, 20, 20), cv2.FILLED)
    cv2.putText(
        image, "breaking news today", (x - 140, y + 8), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2
    )
    return image


def test_bare_lips_are_not_hidden() -> None:
    assert share_of(portrait()) < 0.05


@pytest.mark.parametrize(
    "color", [(30, 30, 30), (235, 235, 235), (40, 60, 160)], ids=["dark", "white", "red"]
)
def test_a_disc_over_the_mouth_hides_it(color: tuple[int, int, int]) -> None:
    assert share_of(with_disc(color)) > 0.7


def test_fingers_over_the_mouth_hide_it() -> None:
    assert share_of(with_fingers()) > 0.4


def test_a_caption_over_the_mouth_hides_it() -> None:
    assert share_of(with_caption()) > 0.6


def test_something_beside_the_mouth_does_not_hide_it_and_is_marked_where_it_is() -> None:
    image, (x, y) = portrait().copy(), mouth()
    cv2.circle(image, (x - 40, y - 28), 13, (30, 30, 30), cv2.FILLED)
    crop, points = crop_of(image)
    cover, _ = finder().cover(crop, points)
    landmarks, _ = portrait_face()
    affine = alignment(landmarks)
    place = np.linalg.solve(affine[:, :2], np.array([x - 40, y - 28]) - affine[:, 2])
    column, row = np.clip(np.rint(place), 0, CROP_SIZE - 1).astype(int)
    assert lips_hidden(cover, points) < share_of(portrait()) + 0.1
    assert cover[row, column] > 128


def test_crops_are_answered_one_by_one_whatever_their_number() -> None:
    one = HiddenFinder(NETWORKS[0])
    crops = [crop_of(image)[0] for image in (portrait(), with_disc((30, 30, 30)))]
    both = one.cover(crops)
    assert both.shape == (2, CROP_SIZE, CROP_SIZE)
    assert np.array_equal(both[1], one.cover(crops[1:])[0])
    assert one.cover([]).shape == (0, CROP_SIZE, CROP_SIZE)


def test_a_crop_has_level_eyes_and_the_lips_in_its_middle() -> None:
    _, points = crop_of(portrait())
    assert points[33, 1] == pytest.approx(points[263, 1], abs=0.01)
    assert points[[33, 263], 0].mean() == pytest.approx(CROP_SIZE / 2, abs=0.01)
    assert 30 < points[UPPER_LIP, 1] < 60
    assert points[CHIN, 1] < CROP_SIZE


def test_a_face_of_four_times_the_size_looks_the_same() -> None:
    landmarks, _ = portrait_face()
    small, _ = crop_of(portrait())
    layout = FrameLayout(2048, 2048)
    large_image = cv2.resize(portrait(), (2048, 2048), interpolation=cv2.INTER_CUBIC)
    points = (landmarks + 0.5) * 4 - 0.5
    large, _ = aligned_face(np.asarray(large_image, np.uint8), layout, points.astype(np.float32))
    assert np.abs(small.astype(int) - large.astype(int)).mean() < 5


def test_a_turned_head_is_cut_as_large_as_one_that_faces_the_camera() -> None:
    landmarks, _ = portrait_face()
    turned = landmarks.copy()
    turned[:, 0] = (turned[:, 0] - turned[:, 0].mean()) * 0.6 + turned[:, 0].mean()
    front, side = alignment(landmarks), alignment(turned)
    assert np.hypot(*side[:, 0]) > 0.85 * np.hypot(*front[:, 0])


def test_the_share_is_that_of_the_ellipse() -> None:
    _, points = crop_of(portrait())
    ellipse = lips_ellipse(points)
    cover = np.full((CROP_SIZE, CROP_SIZE), 255, np.uint8)
    assert lips_hidden(cover, points) == pytest.approx(1)
    left = cover.copy()
    left[:, round(float(points[[61, 291], 0].mean())) :] = 0
    assert lips_hidden(left, points) == pytest.approx(0.5, abs=0.06)
    assert 0.03 < ellipse.mean() < 0.2


def shares(*parts: tuple[float, int]) -> Shares:
    return np.concatenate([np.full(count, share, np.float32) for share, count in parts])


def test_a_mouth_is_hidden_from_the_first_trace_of_an_object_to_the_last() -> None:
    hidden = hidden_mouths(shares((0, 20), (0.2, 3), (0.8, 5), (0.2, 3), (0, 20)), FPS)
    assert np.flatnonzero(hidden).tolist() == list(range(20, 31))


def test_a_trace_alone_hides_nothing() -> None:
    assert not hidden_mouths(shares((0, 20), (0.25, 6), (0, 20)), FPS).any()


def test_a_short_sight_between_two_hidden_mouths_does_not_count() -> None:
    hidden = hidden_mouths(shares((0, 20), (0.8, 4), (0, 2), (0.8, 4), (0, 20)), FPS)
    assert hidden[20:30].all()
    apart = hidden_mouths(shares((0, 20), (0.8, 4), (0, 9), (0.8, 4), (0, 20)), FPS)
    assert not apart[24:33].any()


def test_a_trace_that_stays_is_hidden_for_half_a_second_about_an_object_that_passes() -> None:
    hidden = hidden_mouths(shares((0, 200), (0.15, 100), (0.4, 3), (0.15, 100), (0, 200)), FPS)
    assert np.flatnonzero(hidden).tolist() == list(range(300 - 12, 303 + 12))


def test_what_is_hidden_before_a_cut_says_nothing_of_the_frames_after_it() -> None:
    cuts = np.arange(40) == 20
    hidden = hidden_mouths(shares((0, 15), (0.8, 5), (0.2, 5), (0, 15)), FPS, cuts)
    assert np.flatnonzero(hidden).tolist() == list(range(15, 20))


@pytest.mark.parametrize(("fps", "shortest"), [(10.0, 2), (25.0, 4), (60.0, 10)])
def test_the_shortest_sight_lasts_a_sixth_of_a_second_at_any_rate(fps: float, shortest: int) -> None:
    for sight in (shortest - 1, shortest):
        hidden = hidden_mouths(shares((0, 90), (0.8, 9), (0, sight), (0.8, 9), (0, 90)), fps)
        assert hidden[99 : 99 + sight].all() == (sight < shortest)


def test_what_is_usual_for_somebody_is_not_held_against_them() -> None:
    bearded = shares((0.14, 30), (0.3, 4), (0.14, 30))
    assert not hidden_mouths(bearded, FPS).any()
    assert hidden_mouths(shares((0.14, 30), (0.8, 4), (0.14, 30)), FPS)[30:34].all()


def test_who_is_covered_all_along_is_hidden_all_along() -> None:
    assert hidden_mouths(shares((0.8, 40)), FPS).all()
    microphone = shares((0.35, 40), (0.5, 4), (0.33, 40))
    assert hidden_mouths(microphone, FPS).all()


def test_frames_without_a_face_are_not_hidden() -> None:
    hidden = hidden_mouths(shares((0.8, 3), (np.nan, 2), (0.8, 3), (0, 20)), FPS)
    assert hidden.tolist()[:8] == [True] * 3 + [False] * 2 + [True] * 3
    assert not hidden_mouths(shares((np.nan, 5)), FPS).any()
    assert hidden_mouths(np.zeros(0, np.float32), FPS).shape == (0,)
