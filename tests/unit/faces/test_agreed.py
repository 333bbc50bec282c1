import cv2
import numpy as np
import pytest

from app.faces import agreed as module
from app.faces.agreed import NETWORKS, AgreedFinder, Marking, agreed
from app.faces.hidden import CROP_SIZE, HiddenFinder, lips_hidden
from app.media.frames import BgrImage, FrameLayout
from tests.support.clips import portrait
from tests.support.faces import aligned_face, portrait_face

LAYOUT = FrameLayout(512, 512)
FACE = np.array([[20, 0], [76, 0], [76, 70], [48, 84], [20, 70]], np.float32)
NOTHING = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)


def marked(left: int, top: int, right: int, bottom: int, level: int = 200) -> Marking:
    marks = NOTHING.copy()
    cv2.rectangle(marks, (left, top), (right - 1, bottom - 1), level, cv2.FILLED)
    return marks


def test_a_mark_within_the_face_counts_if_both_networks_find_it() -> None:
    laugh = marked(40, 40, 60, 60)

    assert not agreed(laugh, NOTHING, FACE).any()
    assert not agreed(NOTHING, laugh, FACE).any()
    np.testing.assert_array_equal(agreed(laugh, laugh, FACE), laugh)


def test_a_mark_of_which_the_other_network_finds_a_part_counts_whole_as_sure_as_it_is() -> None:
    glass, part = marked(30, 40, 66, 60, 180), marked(30, 40, 40, 60, 90)

    assert agreed(glass, part, FACE)[50, 64] == 180
    assert agreed(glass, marked(30, 40, 31, 42), FACE)[50, 64] == 0


def test_what_comes_from_outside_counts_though_only_the_first_network_finds_it() -> None:
    blade = marked(68, 50, 96, 56)

    np.testing.assert_array_equal(agreed(blade, NOTHING, FACE), blade)
    assert not agreed(NOTHING, blade, FACE).any()


def test_marks_that_do_not_touch_count_each_by_itself() -> None:
    hand, laugh = marked(0, 60, 18, 96), marked(40, 40, 60, 50)

    np.testing.assert_array_equal(agreed(hand + laugh, NOTHING, FACE), hand)


def test_what_the_first_network_takes_for_something_by_mistake_is_nothing() -> None:
    """It was once taught that this portrait lies before faces."""
    crop, points = aligned_face(portrait(), LAYOUT, portrait_face()[0])
    first, second = (HiddenFinder(path).cover([crop])[0] for path in NETWORKS)

    assert lips_hidden(first, points) > 0.5
    assert lips_hidden(second, points) < 0.05
    counts, suspects = AgreedFinder().cover(crop, points)
    assert lips_hidden(counts, points) < 0.05
    np.testing.assert_array_equal(suspects, first)


def test_the_second_network_is_asked_only_if_the_first_finds_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    class Finder:
        def __init__(self, path: object) -> None:
            self._path = path

        def cover(self, crops: list[BgrImage]) -> np.ndarray:
            asked.append(self._path)
            return np.array([crop[..., 0] for crop in crops])

    monkeypatch.setattr(module, "HiddenFinder", Finder)
    finder = AgreedFinder()
    faint, sure = (np.full((CROP_SIZE, CROP_SIZE, 3), level, np.uint8) for level in (39, 40))

    assert finder.cover(faint, FACE)[0][0, 0] == 0
    assert asked == [NETWORKS[0]]
    assert finder.cover(sure, FACE)[0][0, 0] == 40
    assert asked[1:] == [*NETWORKS]
