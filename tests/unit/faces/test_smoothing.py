import numpy as np
import pytest

from app.errors import InvalidRequest
from app.faces.smoothing import check_smoothing, fill_gaps, smooth


@pytest.mark.parametrize("frames", [0, 0.001, 0.05, 0.3, 0.5, 1, 5, 12.5, 60])
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_steady_motion_passes_unchanged_up_to_both_ends(frames: float, count: int) -> None:
    line = np.outer(np.arange(count), [3.0, -0.5]) + np.array([100, 20])
    np.testing.assert_allclose(smooth(line, frames), line, atol=1e-6)


def test_a_jump_is_neither_foreseen_more_nor_followed_later_than_it_is_remembered() -> None:
    jump = np.repeat([0.0, 10.0], 20)[:, None]
    smoothed = smooth(jump, 5)
    np.testing.assert_allclose(smoothed + smoothed[::-1], 10, atol=1e-9)
    assert np.argmin(np.abs(smoothed - 5)) in (19, 20)


def test_jitter_shrinks_as_under_a_moving_average_of_the_same_width() -> None:
    jitter = np.random.default_rng(1).standard_normal((2000, 2))
    assert smooth(jitter, 5).std() == pytest.approx(1 / np.sqrt(5), rel=0.1)


def test_smoothing_spreads_a_frame_as_far_as_a_moving_average_does() -> None:
    pulse = np.zeros((101, 1))
    pulse[50] = 1
    answer, steps = smooth(pulse, 9)[:, 0], np.arange(-50, 51)
    assert answer.sum() == pytest.approx(1)
    assert np.sqrt((answer * steps**2).sum()) == pytest.approx(9 / np.sqrt(12), rel=0.03)


def test_no_smoothing_changes_nothing() -> None:
    series = np.random.default_rng(2).standard_normal((10, 3))
    np.testing.assert_array_equal(smooth(series, 0), series)


def test_gaps_are_filled_on_the_line_between_their_neighbours() -> None:
    series = np.array([[0.0, 5.0], [np.nan, np.nan], [np.nan, np.nan], [3.0, -1.0]])
    np.testing.assert_allclose(fill_gaps(series), [[0, 5], [1, 3], [2, 1], [3, -1]])


@pytest.mark.parametrize("seconds", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_smoothing_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidRequest, match="0 \\(off\\) to 1"):
        check_smoothing(seconds)
