from collections import deque

import pytest

pytest.importorskip("ray")
from app.workers.ray_driver import LINGER_SECONDS, most, surplus

ACTORS = ["a", "b", "c"]


@pytest.mark.parametrize("slots", [3, 4, 9])
def test_workers_that_load_are_left_alone_while_machines_join(slots: int) -> None:
    assert surplus(ACTORS, {"a"}, slots) == []


def test_as_many_workers_are_given_up_as_devices_have_gone_and_none_that_is_ready() -> None:
    assert surplus(ACTORS, set(), 2) == ["a"]
    assert surplus(ACTORS, {"a"}, 1) == ["b", "c"]
    assert surplus(ACTORS, {"a", "b"}, 0) == ["c"]


def test_a_wish_for_workers_holds_until_the_next_and_lingers() -> None:
    wishes = deque([(0.0, 2), (10.0, 5)])
    assert most(wishes, 10 * LINGER_SECONDS) == 5
    wishes.append((10 * LINGER_SECONDS, 1))
    assert most(wishes, 11 * LINGER_SECONDS - 1) == 5
    assert most(wishes, 11 * LINGER_SECONDS) == 1
    assert most(deque(), 0.0) == 0
