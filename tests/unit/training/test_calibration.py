import pytest

torch = pytest.importorskip("torch")

from training.calibration import ridge  # noqa: E402


def test_what_depends_on_a_feature_is_foreseen_from_it_timidly() -> None:
    torch.manual_seed(0)
    features = 2 * torch.randn(4000, 3, dtype=torch.float64) + 5
    weight, bias = ridge(
        features, 3 * features[:, 1] - 4, torch.ones(4000, dtype=torch.float64), strength=0.1
    )
    assert weight.tolist() == pytest.approx([0, 3 / 1.1, 0], abs=0.1)
    assert float((features @ weight + bias).mean()) == pytest.approx(11, abs=0.2)


def test_samples_that_do_not_count_are_not_learned_from() -> None:
    features = torch.tensor([[0.0], [1.0], [7.0]], dtype=torch.float64)
    wanted, weights = (torch.tensor(row, dtype=torch.float64) for row in ([0, 2, 50], [1, 1, 0]))
    weight, bias = ridge(features, wanted, weights, strength=0.1)
    assert float(weight[0]) == pytest.approx(2 / 1.1)
    assert bias == pytest.approx(1 - 1 / 1.1)
    weight, bias = ridge(features, wanted, 0 * weights, strength=0.1)
    assert float(weight[0]) == 0 == bias
