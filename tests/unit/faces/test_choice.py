import cv2
import numpy as np
import pytest

from app.errors import NoFace
from app.faces.choice import choose, faces_at_once, split_scenes
from app.faces.face_mesh import MeshFit
from app.faces.following import Run, Sighting
from app.faces.geometry import mapped
from app.faces.types import FaceChoice
from tests.support.faces import portrait_face

FPS = 25.0


def run(first: int, last: int, x: float, size: float = 100, shot: int = 0, degrees: int = 0) -> Run:
    box = np.array([200 - size / 2, 200 + size / 2, x - size / 2, x + size / 2])
    turn = np.asarray(cv2.getRotationMatrix2D((x, 200), degrees, 1.0), np.float64)
    points = mapped(portrait_face()[0], turn)
    fit = MeshFit(np.column_stack([points, np.zeros(len(points))]).astype(np.float32), 1.0)
    return Run(shot, [Sighting(frame, box, fit) for frame in range(first, last + 1)])


def chosen(runs: list[Run], rule: str = "largest") -> list[int]:
    picked = choose(runs, FaceChoice(rule), FPS, min_frames=3)
    return [next(i for i, candidate in enumerate(runs) if candidate is one) for one in picked]


def test_the_largest_is_so_over_the_whole_clip_not_in_one_frame() -> None:
    assert chosen([run(0, 99, 200, size=100), run(0, 9, 600, size=250)]) == [0]
    assert chosen([run(0, 99, 200, size=100), run(0, 49, 600, size=250)]) == [1]


@pytest.mark.parametrize(("rule", "index"), [("left", 1), ("right", 0), ("0", 1), ("1", 2), ("2", 0)])
def test_sides_and_positions_go_from_left_to_right(rule: str, index: int) -> None:
    assert chosen([run(0, 99, 900), run(0, 99, 100), run(0, 99, 500)], rule) == [index]


def test_passers_by_are_not_counted() -> None:
    assert chosen([run(0, 99, 500), run(40, 55, 100)], "left") == [0]


def test_a_position_that_nobody_has_is_refused_and_the_number_of_faces_said() -> None:
    with pytest.raises(NoFace, match=r"Face 2 .*only 2 faces are"):
        chosen([run(0, 99, 500), run(0, 99, 100)], "2")
    with pytest.raises(NoFace, match=r"Face 1 .*only one face is"):
        chosen([run(0, 99, 500)], "1")


@pytest.mark.parametrize(
    ("turns", "seen"), [((0, 0), True), ((0, 90), True), ((90, 90), False), ((180,), False)]
)
def test_who_all_lie_on_their_sides_may_be_more_once_they_are_turned(
    turns: tuple[int, ...], seen: bool
) -> None:
    runs = [run(0, 99, 100 + 400 * place, degrees=turn) for place, turn in enumerate(turns)]
    with pytest.raises(NoFace) as refused:
        chosen(runs, "2")
    assert refused.value.seen is seen


def test_who_is_seen_for_less_than_a_few_frames_is_nobody() -> None:
    with pytest.raises(NoFace, match="No face was found"):
        chosen([run(0, 1, 500), run(50, 51, 900)])
    with pytest.raises(NoFace, match="No face was found"):
        chosen([])


def test_one_who_leaves_and_returns_is_the_same_person() -> None:
    runs = [run(0, 200, 200), run(0, 40, 700, size=160), run(80, 140, 760, size=150)]
    assert chosen(runs) == [1, 2]


def test_the_one_who_returns_is_the_one_who_was_nearest() -> None:
    runs = [run(0, 40, 200, size=100), run(0, 40, 700, size=110), run(60, 99, 230), run(61, 99, 690)]
    assert chosen(runs, "left") == [0, 2]
    assert chosen(runs, "right") == [1, 3]


def test_somebody_far_away_or_much_smaller_is_somebody_else() -> None:
    assert chosen([run(0, 60, 200), run(65, 99, 900)]) == [0]
    assert chosen([run(0, 60, 200), run(65, 99, 210, size=40)]) == [0]


def test_after_a_cut_the_choice_is_made_anew() -> None:
    runs = [run(0, 49, 100, size=200), run(0, 49, 600), run(50, 99, 300, shot=1), run(50, 99, 800, shot=1)]
    assert chosen(runs, "left") == [0, 2]
    assert chosen(runs, "right") == [1, 3]


def test_a_scene_without_the_position_asked_for_stays_without_a_face() -> None:
    runs = [run(0, 49, 100), run(0, 49, 600), run(50, 99, 300, shot=1)]
    assert chosen(runs, "1") == [1]


def test_a_flash_that_looks_like_a_cut_does_not_change_the_person() -> None:
    before = [run(0, 49, 100, size=110), run(0, 49, 600, size=100)]
    after = [run(50, 99, 600, size=130, shot=1), run(50, 99, 105, size=100, shot=1)]
    assert chosen(before + after, "left") == [0, 3]
    assert chosen(before + after) == [1, 2]


def test_faces_that_are_seen_all_along_are_none_by_accident_however_short_the_shots() -> None:
    for apart in (1, 300):
        shots = [run(2 * index, 2 * index + 1, 100 + apart * (index % 3), shot=index) for index in range(8)]
        assert chosen(shots) == list(range(8))
        assert chosen([*shots, run(40, 60, 100, shot=20)]) == [8]
        with pytest.raises(NoFace):
            choose(shots[::2], FaceChoice("largest"), FPS, min_frames=3)


def test_a_face_that_blinks_away_at_a_cut_is_still_in_its_place_some_shots_later() -> None:
    flashes = [run(0, 49, 100, size=110), run(0, 49, 600)]
    flashes += [run(50, 51, 105, shot=1), run(54, 99, 600, size=130, shot=3), run(54, 99, 105, shot=3)]
    assert len(split_scenes(flashes, FPS)) == 1
    later = [*flashes[:2], run(56, 99, 600, size=130, shot=4)]
    assert len(split_scenes(later, FPS)) == 2


@pytest.mark.parametrize(("fps", "gone"), [(5.0, 1), (25.0, 3), (60.0, 7)])
def test_a_face_may_blink_away_for_an_eighth_of_a_second_at_any_rate(fps: float, gone: int) -> None:
    for more, scenes in ((0, 1), (1, 2)):
        runs = [run(0, 49, 100), run(50 + gone + more, 99, 105, shot=1)]
        assert len(split_scenes(runs, fps)) == scenes


def test_thousands_of_shots_of_one_face_are_one_scene_of_which_the_last_few_are_looked_at() -> None:
    looked_at = 0

    class Counted(Run):
        @property
        def last(self) -> Sighting:
            nonlocal looked_at
            looked_at += 1
            return super().last

    shots = [run(3 * shot, 3 * shot + 2, x, shot=shot) for shot in range(2000) for x in (200, 600)]
    assert len(split_scenes([Counted(each.shot, each.sightings) for each in shots], FPS)) == 1
    assert looked_at < 50 * len(shots)


def test_faces_are_there_at_once_if_they_are_so_for_a_good_part_of_the_time() -> None:
    in_turn = [run(0, 51, 300), run(48, 99, 600)]
    assert faces_at_once(in_turn, 100) == 1
    assert faces_at_once([run(0, 99, 300), run(60, 99, 600)], 100) == 2
    assert faces_at_once([run(0, 0, 300), run(0, 0, 600)], 1) == 2
