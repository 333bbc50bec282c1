import numpy as np
import pytest

pytest.importorskip("torch")

from training.calibration import MAX_POWER, power_law


def test_the_power_that_made_guesses_timid_is_found() -> None:
    wanted = np.exp(np.random.default_rng(0).normal(0, 0.5, 4000))
    guessed = wanted ** (1 / 1.6) * 0.8
    middle, power = power_law(guessed, wanted)
    assert power == pytest.approx(0.6, abs=0.01)
    assert np.quantile(guessed * (guessed / middle) ** power, 0.9) == pytest.approx(
        np.quantile(wanted, 0.9), rel=0.02
    )


def test_bold_guesses_are_left_alone() -> None:
    wanted = np.exp(np.random.default_rng(0).normal(0, 0.5, 4000))
    assert power_law(wanted**1.5, wanted) == (1.0, 0.0)
    assert power_law(np.zeros(100), wanted) == (1.0, 0.0)
    assert power_law(np.exp(0.01 * np.log(wanted)), wanted)[1] == MAX_POWER
