import numpy as np
import pytest

from app.errors import InvalidRequest
from app.faces.types import FaceChoice, Pads, has_face, runs_of


@pytest.mark.parametrize(
    ("rule", "position"), [("largest", None), ("left", 0), ("right", -1), ("0", 0), ("9", 9)]
)
def test_a_face_is_chosen_by_size_side_or_position(rule: str, position: int | None) -> None:
    assert FaceChoice(rule).position == position


@pytest.mark.parametrize("rule", ["", "10", "-1", "middle", "Largest", "1.0", "²", " 1"])
def test_other_choices_are_refused(rule: str) -> None:
    with pytest.raises(InvalidRequest, match="position from the left"):
        FaceChoice(rule)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 1.01])
@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_pads_out_of_range_are_refused_by_name(side: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=side):
        Pads(**{side: value})


def test_a_box_at_the_border_is_a_face_and_four_times_minus_one_is_none() -> None:
    boxes = np.array([[-1, 50, -1, 40], [-1, -1, -1, -1], [10, 60, 10, 50]], np.int32)
    assert has_face(boxes).tolist() == [True, False, True]


def test_a_box_without_height_or_width_is_no_face() -> None:
    boxes = np.array([[20, 20, 10, 50], [10, 60, 30, 30], [10, 60, 31, 30]], np.int32)
    assert not has_face(boxes).any()


def test_runs_are_told_by_their_start_and_stop() -> None:
    flags = np.array([True, True, False, True, False, False, True])
    assert runs_of(flags) == [(0, 2), (3, 4), (6, 7)]
    assert runs_of(~flags) == [(2, 3), (4, 6)]
    assert runs_of(flags[:0]) == []
