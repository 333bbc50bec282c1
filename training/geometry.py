"""Where a training sample's pixels come from: affine maps from a face of 96 pixels into a pack's crops.

A map is a float32 tensor (B, 2, 3) that takes (x, y, 1) of a face pixel to x, y in the crop, pixel centres at
integers. Target and reference of a sample share one random view, apart from a little jitter.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from training.pack import BOX_SIDE, CROP_SIZE
from training.tuned import ViewNumbers

FACE_SIZE: Final = 96


def random_views(count: int, generator: torch.Generator, views: ViewNumbers, *, augment: bool) -> Tensor:
    """Return maps that scale, shift, turn and mirror the face at random, or the plain crop of the box."""
    uniform = _uniform(generator)
    base = BOX_SIDE / FACE_SIZE
    if not augment:
        zeros = torch.zeros(count, 2, device=generator.device)
        scale, turn, shift, mirror = zeros + base, zeros[:, 0], zeros, zeros[:, 0] + 1
    else:
        scale = base * (1 + views.scale * uniform(count, 1) + views.stretch * uniform(count, 2))
        turn = views.turn * uniform(count) * (uniform(count) > 0)
        shift = views.shift * uniform(count, 2)
        mirror = torch.where(uniform(count) > 0, 1.0, -1.0)
    cos, sin = torch.cos(turn), torch.sin(turn)
    linear = torch.stack(
        [
            torch.stack([cos * scale[:, 0] * mirror, -sin * scale[:, 1]], 1),
            torch.stack([sin * scale[:, 0] * mirror, cos * scale[:, 1]], 1),
        ],
        1,
    )
    middle = linear.new_full((2,), (FACE_SIZE - 1) / 2)
    offset = (CROP_SIZE - 1) / 2 + shift - linear @ middle
    return torch.cat([linear, offset[:, :, None]], 2)


def jitter(count: int, generator: torch.Generator, views: ViewNumbers) -> Tensor:
    """Return small maps of the crop onto itself: how badly a reference may lie on its target."""
    uniform = _uniform(generator)
    maps = torch.eye(2, 3, device=generator.device).repeat(count, 1, 1)
    maps[:, 0, 0] += views.jitter_scale * uniform(count)
    maps[:, 1, 1] += views.jitter_scale * uniform(count)
    maps[:, :, 2] = views.jitter_shift * uniform(count, 2)
    return maps


def chain(first: Tensor, second: Tensor) -> Tensor:
    """Return the map that applies ``first`` and then ``second``."""
    linear = second[:, :, :2] @ first[:, :, :2]
    offset = second[:, :, :2] @ first[:, :, 2:] + second[:, :, 2:]
    return torch.cat([linear, offset], 2)


def unmap(maps: Tensor, points: Tensor) -> Tensor:
    """Return where in the face points (B, K, 2) of the crop lie.

    Whether it could be solved is not asked: the answer would have to be waited for.
    """
    moved = (points - maps[:, None, :, 2]).transpose(1, 2)
    solved: Tensor = torch.linalg.solve_ex(maps[:, :, :2], moved).result
    return solved.transpose(1, 2)


def sample(crops: Tensor, maps: Tensor) -> Tensor:
    """Cut faces (B, 3, 96, 96) out of crops (B, 3, 128, 128), bilinear, the border repeated."""
    line = torch.arange(FACE_SIZE, dtype=torch.float32, device=crops.device)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], 2).reshape(1, -1, 3)
    where = (pixels @ maps.transpose(1, 2) + 0.5) * (2 / CROP_SIZE) - 1
    grid = where.reshape(len(maps), FACE_SIZE, FACE_SIZE, 2)
    return functional.grid_sample(crops, grid, mode="bilinear", padding_mode="border", align_corners=False)


def inside(polygon: Tensor, columns: range, rows: range) -> Tensor:
    """Return 1 for the pixels inside of polygons (B, K, 2), 0 for others: (B, 1, rows, columns).

    A pixel is inside if a ray from it to the left crosses the outline an odd number of times.
    """
    x = torch.arange(columns.start, columns.stop, dtype=torch.float32, device=polygon.device)
    y = torch.arange(rows.start, rows.stop, dtype=torch.float32, device=polygon.device)
    begin, end = polygon, polygon.roll(-1, 1)
    x0, y0, x1, y1 = (part[:, :, None] for part in (begin[..., 0], begin[..., 1], end[..., 0], end[..., 1]))
    spans_row = (y0 <= y) != (y1 <= y)
    slope = (x1 - x0) / torch.where(spans_row, y1 - y0, torch.ones_like(y0 + y))
    crossing = x0 + (y - y0) * slope
    odd = (spans_row[..., None] & (crossing[..., None] < x)).sum(1) % 2
    return odd[:, None].float()


def _uniform(generator: torch.Generator) -> Callable[..., Tensor]:
    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device) * 2 - 1

    return draw
