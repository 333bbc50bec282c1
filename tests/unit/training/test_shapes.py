import numpy as np
import pytest

from tests.support.packs import drawn_cache
from training.shapes import measure_shapes

GAPS = [0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0]


def test_a_resting_mouth_has_the_shape_zero_whoever_it_is() -> None:
    track = measure_shapes(drawn_cache([GAPS, [0.2 + gap for gap in GAPS]]))
    rest = [0, 1, 7, 8, 9, 15]
    assert np.abs(track.shapes[rest]).max() < 1e-3
    assert np.abs(track.openings[rest]).max() < 1e-5


def test_a_wider_mouth_has_a_larger_opening_and_shape() -> None:
    track = measure_shapes(drawn_cache([GAPS]))
    order = np.argsort(GAPS, kind="stable")
    assert (np.diff(track.openings[order]) > -1e-6).all()
    assert track.openings[5] == pytest.approx(2 * track.openings[3], rel=1e-3)
    assert abs(track.shapes[5, 0]) > abs(track.shapes[2, 0]) > 0


def test_turning_the_head_leaves_the_shape() -> None:
    still = measure_shapes(drawn_cache([GAPS]))
    turned = measure_shapes(drawn_cache([GAPS], yaw=0.5))
    assert np.abs(still.shapes - turned.shapes).max() < 0.02 * np.abs(still.shapes).max()


def test_teeth_are_the_last_numbers_of_a_shape() -> None:
    track = measure_shapes(drawn_cache([GAPS], teeth=(0.3, 0.9)))
    assert track.shapes[5, -2:] == pytest.approx([1, 2], abs=1e-4)


def test_teeth_that_show_in_a_resting_mouth_do_not_count() -> None:
    track = measure_shapes(drawn_cache([GAPS], teeth=(0.3, 0.9)))
    assert np.abs(track.shapes[[0, 1, 7], -2:]).max() < 1e-4


def test_a_laugh_counts_no_more_teeth_than_there_is_a_measure_for() -> None:
    track = measure_shapes(drawn_cache([GAPS], teeth=(9.0, 9.0)))
    assert track.shapes[5, -2:] == pytest.approx([6, 6])


def test_a_speaker_whose_mouth_hardly_ever_rests_has_a_zero_all_the_same() -> None:
    track = measure_shapes(drawn_cache([[0.0, *np.linspace(0.06, 0.1, 11)]]))
    assert track.openings[1] == pytest.approx(0, abs=1e-5)
    assert (track.openings[2:] > 0).all()
    assert np.isfinite(track.shapes).all()
