import pytest

from benchmarks.runs import Crowd, Run, Series, times_cheaper, times_faster


def runs(*walls: float) -> list[Run]:
    return [Run(media_seconds=10, wall_seconds=wall, cpu_seconds=2 * wall) for wall in walls]


def test_the_ratio_is_taken_round_by_round_so_that_a_busy_machine_hits_both_alike() -> None:
    ours, naive = runs(1, 10, 2), runs(5, 50, 8)
    assert times_faster(ours, naive) == 5
    assert times_cheaper(ours, naive) == 5


def test_a_series_tells_medians() -> None:
    series = Series("720p", "ours", runs(2, 5, 40))
    assert series.real_time == 2
    assert series.cpu == 1
    assert series.first_picture is None


def test_shares_of_stages_add_up_to_one() -> None:
    run = Run(1, 1, 1, stages={"model": 3.0, "encode": 1.0})
    assert Series("720p", "ours", [run]).stage_shares == {"encode": 0.25, "model": 0.75}


def test_the_slowest_of_a_crowd_shows_in_its_p95() -> None:
    crowd = Crowd(20, [1.0, 2.0, 3.0, 10.0])
    assert crowd.p50 == 2.5
    assert crowd.p95 == pytest.approx(8.95)
