import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from training import geometry  # noqa: E402
from training.settings import TrainSettings  # noqa: E402

VIEWS = TrainSettings().views


def some_maps(count: int = 4) -> Tensor:
    return geometry.random_views(count, torch.Generator().manual_seed(3), VIEWS, augment=True)


def test_the_plain_view_is_the_box_in_the_middle_of_the_crop() -> None:
    view = geometry.random_views(1, torch.Generator(), VIEWS, augment=False)
    corners = view[0] @ torch.tensor([[-0.5, 95.5], [-0.5, 95.5], [1.0, 1.0]])
    assert corners[:, 0] == pytest.approx([14.27, 14.27], abs=0.01)
    assert corners[:, 1] == pytest.approx([112.73, 112.73], abs=0.01)


def test_unmapped_points_are_where_they_were_cut_from() -> None:
    maps = some_maps()
    points = torch.rand(4, 7, 2) * 96
    there = points @ maps[:, :, :2].transpose(1, 2) + maps[:, None, :, 2]
    assert torch.allclose(geometry.unmap(maps, there), points, atol=1e-3)


def test_a_jittered_reference_hardly_leaves_its_place() -> None:
    maps = geometry.jitter(64, torch.Generator().manual_seed(3), VIEWS)
    moved = maps @ torch.tensor([64.0, 64.0, 1.0]) - 64
    assert 0.1 < moved.abs().mean() < moved.abs().max() < 64 * VIEWS.jitter_scale + VIEWS.jitter_shift


def test_chained_maps_act_one_after_the_other() -> None:
    first, second = some_maps(), some_maps().flip(0)
    point = torch.tensor([10.0, 20.0, 1.0])
    between = torch.cat([first @ point, torch.ones(4, 1)], 1)[:, :, None]
    assert torch.allclose(geometry.chain(first, second) @ point, (second @ between)[:, :, 0], atol=1e-3)


def test_sampling_reads_the_pixel_that_the_map_names() -> None:
    columns = torch.arange(128.0).expand(1, 3, 128, 128)
    maps = torch.tensor([[[1.0, 0, 5], [0, 1, 9]]])
    face = geometry.sample(columns, maps)
    assert torch.allclose(face[0, 0, 40], torch.arange(96.0) + 5, atol=1e-3)


def test_the_inside_of_a_square_is_as_large_as_the_square() -> None:
    square = torch.tensor([[[20.5, 60.5], [30.5, 60.5], [30.5, 66.5], [20.5, 66.5]]])
    mask = geometry.inside(square, range(12, 84), range(48, 96))
    assert mask.shape == (1, 1, 48, 72)
    assert mask.sum() == 60
    assert mask[0, 0, 13, 9] == 1
    assert geometry.inside(square.flip(1), range(12, 84), range(48, 96)).sum() == 60
