import pytest

pytest.importorskip("ray")
from app.workers.ray_driver import surplus

ACTORS = ["a", "b", "c"]


@pytest.mark.parametrize("slots", [3, 4, 9])
def test_workers_that_load_are_left_alone_while_machines_join(slots: int) -> None:
    assert surplus(ACTORS, {"a"}, slots) == []


def test_as_many_workers_are_given_up_as_devices_have_gone_and_none_that_is_ready() -> None:
    assert surplus(ACTORS, set(), 2) == ["a"]
    assert surplus(ACTORS, {"a"}, 1) == ["b", "c"]
    assert surplus(ACTORS, {"a", "b"}, 0) == ["c"]
