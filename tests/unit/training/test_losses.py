import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from app.mouths.points import SPEECH_POINTS, mirrored_points  # noqa: E402
from training.batches import Batch  # noqa: E402
from training.losses import as_seen, reading_losses, rendering_losses  # noqa: E402
from training.networks.face import Rendering  # noqa: E402
from training.networks.reader import LandmarkReader  # noqa: E402
from training.settings import TrainSettings  # noqa: E402

NUMBERS = TrainSettings().losses


def places() -> Tensor:
    """Return points (1, 67, 2) whose rows run from left to right."""
    points: Tensor = torch.rand(1, len(SPEECH_POINTS), 2) * 5 + 60
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
    assert reading_losses(true, true, NUMBERS)["points"] == 0
    assert reading_losses(moved, true, NUMBERS)["gaps"] == pytest.approx(0, abs=1e-6)
    assert reading_losses(narrower, true, NUMBERS)["gaps"] > 0.01


def test_the_reader_finds_points_within_reach_of_the_picture() -> None:
    reader = LandmarkReader(67).eval()
    with torch.no_grad():
        read = reader(torch.rand(2, 3, 56, 96))
    assert read.points.shape == (2, 67, 2)
    assert (read.points - torch.tensor([47.5, 67.5])).abs().max() < 58
    assert [feature.shape[2] for feature in read.features] == [28, 14, 7]


def losses_of(
    made: Tensor, true: Tensor, inner: Tensor, *, painted: float = 0.0, missing: float = 0.0
) -> dict[str, float]:
    """Return the losses of rows 40 to 95 ``made`` where ``true`` was wanted, with that inner mouth.

    So much of them was ``painted``, and so many deviations were ``missing`` in the reference.
    """
    points = torch.full((1, 2, len(SPEECH_POINTS), 2), 70.0)
    target = torch.cat([torch.zeros(1, 3, 40, 96), true], 2)
    nothing, shape = torch.zeros(1), torch.zeros(1, 17)
    shape[0, 0] = missing
    batch = Batch(target, torch.zeros(1, 6, 96, 96), nothing, shape, nothing, points, inner, nothing)
    shown = torch.ones(1, 1, 56, 96) - painted
    rendering = Rendering(made, true, torch.zeros(1, 2, 56, 96), shown, torch.zeros(1, 1, 48, 72))
    return {name: float(loss) for name, loss in rendering_losses(rendering, batch, NUMBERS).items()}


def test_a_light_in_a_corner_of_the_mouth_is_a_speck_and_one_in_its_middle_may_be_a_tooth() -> None:
    inner = torch.zeros(1, 1, 48, 72)
    inner[:, :, 20:28, 16:56] = 1
    dark = torch.full((1, 3, 56, 96), 0.2)
    corner, middle = dark.clone(), dark.clone()
    corner[:, :, 30, 29], middle[:, :, 30, 48] = 0.9, 0.9
    assert losses_of(dark, dark, inner)["specks"] == 0
    assert losses_of(middle, dark, inner)["specks"] == 0
    assert losses_of(corner, dark, inner)["specks"] > 1e-3


def test_detail_counts_wherever_it_lies() -> None:
    rng = torch.Generator().manual_seed(0)
    sharp = torch.rand(1, 3, 56, 96, generator=rng)
    moved, soft = sharp.roll((1, 1), (2, 3)), torch.full_like(sharp, 0.5)
    none = torch.zeros(1, 1, 48, 72)
    assert losses_of(sharp, sharp, none)["texture"] == pytest.approx(0, abs=1e-6)
    assert losses_of(moved, sharp, none)["texture"] < 0.2 * losses_of(soft, sharp, none)["texture"]


def test_a_mouth_is_to_be_kept_where_the_reference_has_it_already() -> None:
    inner = torch.zeros(1, 1, 48, 72)
    inner[:, :, 20:28, 16:56] = 1
    gray = torch.full((1, 3, 56, 96), 0.5)
    kept, painted, far = (
        losses_of(gray, gray, inner, painted=share, missing=missing)["kept"]
        for share, missing in ((0.0, 0.0), (1.0, 0.0), (1.0, 6.0))
    )
    assert kept == 0
    assert painted > 0.9 * NUMBERS.keep
    assert far < 0.01 * painted
