import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.faces.types import Boxes
from app.mouths import study as study_module
from app.mouths.study import Study, takes_of
from tests.support.mouths import study_of, talk

HERE, BESIDE, LARGE = (50, 150, 100, 180), (50, 150, 190, 270), (20, 180, 70, 210)
NOWHERE = (-1, -1, -1, -1)


def takes(places: list[tuple[int, int, int, int]], cuts: tuple[int, ...] = (), fps: float = 25) -> list[int]:
    boxes: Boxes = np.array(places, np.int32)
    cut = np.isin(np.arange(len(boxes)), cuts)
    numbers: list[int] = takes_of(cut, boxes, boxes[:, 0] >= 0, fps).tolist()
    return numbers


def test_a_face_that_stays_is_one_take() -> None:
    assert takes([HERE] * 4) == [0, 0, 0, 0]


def test_a_cut_and_a_jump_to_another_face_each_begin_a_take() -> None:
    assert takes([HERE] * 4, cuts=(2,)) == [0, 0, 1, 1]
    assert takes([HERE, HERE, BESIDE, BESIDE, HERE]) == [0, 0, 1, 1, 2]
    assert takes([HERE, HERE, LARGE]) == [0, 0, 1]


def test_at_few_frames_a_second_a_face_may_move_further_from_one_to_the_next() -> None:
    aside = (50, 150, 145, 225)
    assert takes([HERE, aside, HERE], fps=25) == [0, 1, 2]
    assert takes([HERE, aside, HERE], fps=5) == [0, 0, 0]
    assert takes([HERE, BESIDE, HERE], fps=1) == [0, 1, 2]


def test_frames_without_a_face_belong_to_no_take_and_end_none_unless_a_cut_lies_among_them() -> None:
    assert takes([HERE, NOWHERE, NOWHERE, HERE]) == [0, -1, -1, 0]
    assert takes([HERE, NOWHERE, NOWHERE, HERE], cuts=(2,)) == [0, -1, -1, 1]
    assert takes([NOWHERE, NOWHERE]) == [-1, -1]


@pytest.mark.parametrize("fps", [0.4, 10.0, 25.0])
def test_who_is_seen_after_a_long_time_may_be_another_one(fps: float) -> None:
    most = int(2 * fps)
    assert takes([HERE, *[NOWHERE] * most, HERE], fps=fps)[-1] == 0
    assert takes([HERE, *[NOWHERE] * (most + 1), HERE], fps=fps)[-1] == 1


def test_two_people_who_swap_places_share_no_take() -> None:
    assert takes([HERE] * 3 + [BESIDE] * 3 + [HERE] * 3) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Study, Path]:
    study = study_of(talk(7), takes=[0, 0, 0, -1, 1, 1, 1])
    path = tmp_path / "mouths.npz"
    with path.open("wb") as file:
        study.save(file)
    return study, path


def arrays(study: Study) -> bytes:
    file = io.BytesIO()
    study.save(file)
    return file.getvalue()


def test_a_study_is_read_as_it_was_written(saved: tuple[Study, Path]) -> None:
    study, path = saved
    loaded = Study.load(path, 7)
    assert loaded is not None
    assert arrays(loaded) == arrays(study)


def test_a_study_that_is_missing_of_another_avatar_or_of_another_version_is_not_taken(
    saved: tuple[Study, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = saved
    assert Study.load(path.with_name("other.npz"), 7) is None
    assert Study.load(path, 8) is None
    monkeypatch.setattr(study_module, "VERSION", study_module.VERSION + 1)
    assert Study.load(path, 7) is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """A study of two frames, and where to write it."""
    return arrays(study_of(np.zeros((2, 1)))), tmp_path_factory.mktemp("damaged") / "mouths.npz"


@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_study_that_is_truncated_or_damaged_is_not_taken(
    whole: tuple[bytes, Path], where: float, change: int
) -> None:
    content, path = whole
    place = int(where * len(content))
    path.write_bytes(content[:place])
    assert Study.load(path, 2) is None
    damaged = bytearray(content)
    damaged[place] ^= change
    path.write_bytes(damaged)
    loaded = Study.load(path, 2)
    assert loaded is None or arrays(loaded) == content
