import pytest

torch = pytest.importorskip("torch")

from training.losses import as_seen, reading_losses  # noqa: E402
from training.networks.blocks import Tensor  # noqa: E402
from training.networks.reader import LandmarkReader  # noqa: E402
from training.shapes import SPEECH_POINTS, mirrored_points  # noqa: E402


def places() -> Tensor:
    """Return points (1, 67, 2) whose rows run from left to right."""
    points = torch.rand(1, len(SPEECH_POINTS), 2) * 5 + 60
    ranks = torch.tensor([row * 2.0 for row in range(len(SPEECH_POINTS))])
    points[0, :, 0] += ranks
    return points


def test_a_mirrored_face_s_points_are_named_as_they_are_seen() -> None:
    points = places()
    mirrored = points.clone()
    mirrored[..., 0] = 95 - mirrored[..., 0]
    seen = as_seen(torch.cat([points, mirrored]))
    assert torch.equal(seen[:1], points)
    assert torch.equal(seen[1:], mirrored[:, mirrored_points()])


def test_a_mirror_twice_is_no_mirror() -> None:
    order = mirrored_points()
    assert [order[place] for place in order] == list(range(len(SPEECH_POINTS)))
    assert SPEECH_POINTS[order[SPEECH_POINTS.index(61)]] == 291


def test_a_mouth_that_opens_less_costs_more_than_one_that_has_moved() -> None:
    true = places()
    moved, narrower = true + torch.tensor([0.0, 1.0]), true.clone()
    narrower[:, 33:44, 1] -= 1
    assert reading_losses(true, true)["points"] == 0
    assert reading_losses(moved, true)["gaps"] == pytest.approx(0, abs=1e-6)
    assert reading_losses(narrower, true)["gaps"] > 0.01


def test_the_reader_finds_points_within_reach_of_the_picture() -> None:
    reader = LandmarkReader(67).eval()
    with torch.no_grad():
        read = reader(torch.rand(2, 3, 56, 96))
    assert read.points.shape == (2, 67, 2)
    assert (read.points - torch.tensor([47.5, 67.5])).abs().max() < 58
    assert [feature.shape[2] for feature in read.features] == [28, 14, 7]
