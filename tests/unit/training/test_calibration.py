import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.calibration import MAX_POWER, power_law, ridge  # noqa: E402


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


def test_what_depends_on_a_feature_is_foreseen_from_it_timidly() -> None:
    torch.manual_seed(0)
    features = 2 * torch.randn(4000, 3, dtype=torch.float64) + 5
    weight, bias = ridge(features, 3 * features[:, 1] - 4, torch.ones(4000, dtype=torch.float64))
    assert weight.tolist() == pytest.approx([0, 3 / 1.1, 0], abs=0.1)
    assert float((features @ weight + bias).mean()) == pytest.approx(11, abs=0.2)


def test_samples_that_do_not_count_are_not_learned_from() -> None:
    features = torch.tensor([[0.0], [1.0], [7.0]], dtype=torch.float64)
    wanted, weights = (torch.tensor(row, dtype=torch.float64) for row in ([0, 2, 50], [1, 1, 0]))
    weight, bias = ridge(features, wanted, weights)
    assert float(weight[0]) == pytest.approx(2 / 1.1)
    assert bias == pytest.approx(1 - 1 / 1.1)
    weight, bias = ridge(features, wanted, 0 * weights)
    assert float(weight[0]) == 0 == bias
