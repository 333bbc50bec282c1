"""The losses of the generators."""

from typing import Final

import torch
from torch.nn import functional

from app.mouths.points import JAW, SPEECH_POINTS, mirrored_points
from training.batches import MOUTH_HEIGHT, MOUTH_WIDTH, Batch
from training.networks.blocks import Tensor, constant
from app.mouths.painter import FACE_SIZE, FIRST_ROW
from app.mouths.space import COMPONENTS
from training.networks.face import Rendering
from training.networks.paint import LAPLACIAN

_MOUTH_CENTRE: Final = (47.5, 74.0)
_MOUTH_REACH: Final = (17.0, 11.0)
"""Pixels: where speech shows, and over what distance its weight falls."""
_LIP_POINTS: Final = 44
_LIP_WEIGHT: Final = 1.6
_INNER_WEIGHT: Final = 1.5
_INNER_LIPS: Final = slice(22, 44)
_INNER_LIP_WEIGHT: Final = 2.5
"""Of the points, the outlines of lips and the inner lips, which show how far a mouth opens."""
_MIRRORED: Final = tuple(mirrored_points())
_JAW_ENDS: Final = (SPEECH_POINTS.index(JAW[0]), SPEECH_POINTS.index(JAW[-1]))
_SPECK_WEIGHT: Final = 8.0
_NEAR: Final = 5
_TOLERATED: Final = 0.02
"""Pixels across, and brightness of 0..1: a critic likes light at the corners of mouths."""
_CORNER: Final = 9
"""Pixels across of the inner mouth in which a speck may not be a tooth."""
_TEXTURE_WEIGHT: Final = 0.06
_TEXTURE_PATCH, _TEXTURE_STEP = 8, 4
_LEAST_TEXTURE: Final = 0.01
"""Pixels across of the patches whose detail is compared; and brightness, 0..1, that counts as no detail."""
_FEW_PIXELS: Final = 20.0
"""An inner mouth of so many pixels counts by half where one is kept."""
_READING_SCALE: Final = 0.03
"""Loss of one pixel by which a picture's points lie elsewhere than they should."""
_LANDMARK_SCALE: Final = 0.05
"""Loss of one pixel by which the flow misses a landmark."""


def mouth_weights(device: object) -> Tensor:
    """Return the weight of each generated pixel (1, 1, 56, 96), 1 on average, most around the mouth."""
    rows = torch.arange(FIRST_ROW, FACE_SIZE, device=device)[:, None]
    columns = torch.arange(FACE_SIZE, device=device)
    across = ((columns - _MOUTH_CENTRE[0]) / _MOUTH_REACH[0]) ** 2
    down = ((rows - _MOUTH_CENTRE[1]) / _MOUTH_REACH[1]) ** 2
    weights = 0.3 + 1.2 * torch.exp(-(across + down) / 1.2)
    return (weights / weights.mean())[None, None]


def rendering_losses(made: Rendering, batch: Batch) -> dict[str, Tensor]:
    """Return what a rendering misses: pixels, edges, landmarks, and the outline of the inner mouth."""
    true = batch.target[:, :, FIRST_ROW:]
    inner = _spread(batch.inner_mouth)
    base = mouth_weights(true.device)
    weights = base * (1 + _INNER_WEIGHT * inner)
    difference = made.face - true
    return {
        "pixels": (difference.abs() * weights).mean(),
        "edges": 0.5 * _edge_loss(difference, weights),
        "warp": 0.3 * ((made.warped - true).abs() * base * (1 - inner)).mean(),
        "landmarks": _landmark_loss(made.flow, batch.points),
        "smoothness": 0.002 * _variation(made.flow),
        "specks": _SPECK_WEIGHT * (_overshoot(made.face, true) * base * (1 - _middle(inner))).mean(),
        "texture": _TEXTURE_WEIGHT * ((_detail(made.face) - _detail(true)).abs() * _patches(base)).mean(),
        "outline": 0.04 * functional.binary_cross_entropy_with_logits(made.mouth_logits, batch.inner_mouth),
    }


def keeping_loss(made: Rendering, batch: Batch, reach: float) -> Tensor:
    """Return how much of the inner mouth is painted although the reference has it, 0..1.

    A reference counts as it is near in shape: half as far away as ``reach`` deviations by 0.9, twice by 0.14.
    """
    missing = batch.shape[:, :COMPONENTS].square().sum(1)
    near = torch.exp(-0.5 * missing / reach**2)
    inner = _spread(batch.inner_mouth)
    painted = ((1 - made.shown) * inner).flatten(1).sum(1) / (inner.flatten(1).sum(1) + _FEW_PIXELS)
    return (near * painted).mean()


def _overshoot(made: Tensor, true: Tensor) -> Tensor:
    """Return by how much pixels are brighter than anything near them in the true picture."""
    brightest = functional.max_pool2d(true, _NEAR, stride=1, padding=_NEAR // 2)
    return functional.relu(made - brightest - _TOLERATED)


def _middle(inner: Tensor) -> Tensor:
    """Return the inner mouths (B, 1, H, W) without their corners."""
    return 1 - functional.max_pool2d(1 - inner, (1, _CORNER), stride=1, padding=(0, _CORNER // 2))


def _detail(pictures: Tensor) -> Tensor:
    """Return the logarithm of how much fine detail there is about each place, wherever it lies (B, 1, h, w).

    An error of pixels prefers no detail to detail in the wrong place; this wants as much as is true. By the
    ratio, so that in soft footage mouths become as soft.
    """
    gray = functional.pad(pictures.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    edges = functional.conv2d(gray, constant(((LAPLACIAN,),), gray.device))
    return 0.5 * (_patches(edges.square()) + _LEAST_TEXTURE**2).log()


def _patches(x: Tensor) -> Tensor:
    return functional.avg_pool2d(
        x, _TEXTURE_PATCH, _TEXTURE_STEP, _TEXTURE_PATCH // 2, count_include_pad=False
    )


def as_seen(points: Tensor) -> Tensor:
    """Return points (B, K, 2) in an unmirrored face's order: pictures do not tell if they are mirrored."""
    first, last = points[:, _JAW_ENDS, 0].unbind(1)
    return torch.where((first > last)[:, None, None], points[:, constant(_MIRRORED, points.device)], points)


def reading_losses(found: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Return how far points (B, K, 2) miss their places, and how far inner lips miss their distance."""
    missed = functional.smooth_l1_loss(found, wanted, reduction="none", beta=0.5).sum(-1)
    weights = torch.ones(found.shape[1], device=found.device)
    weights[:_LIP_POINTS] = _LIP_WEIGHT
    weights[_INNER_LIPS] = _INNER_LIP_WEIGHT
    gaps = functional.smooth_l1_loss(_gaps(found), _gaps(wanted), beta=0.5)
    return {
        "points": _READING_SCALE * (missed * weights / weights.mean()).mean(),
        "gaps": _READING_SCALE * gaps,
    }


def _gaps(points: Tensor) -> Tensor:
    """Return the distances (B, 9) of lower from upper inner lip, corners left out."""
    upper, lower = points[:, _INNER_LIPS].chunk(2, dim=1)
    return (lower - upper)[:, 1:-1, 1]


def _spread(inner_mouth: Tensor) -> Tensor:
    """Return the inner mouth's window laid into the generated rows."""
    sides = (MOUTH_WIDTH.start, FACE_SIZE - MOUTH_WIDTH.stop, MOUTH_HEIGHT.start - FIRST_ROW, 0)
    return functional.pad(inner_mouth, sides)


def _edge_loss(difference: Tensor, weights: Tensor) -> Tensor:
    down = (difference[:, :, 1:] - difference[:, :, :-1]).abs() * weights[:, :, 1:]
    across = (difference[..., 1:] - difference[..., :-1]).abs() * weights[..., 1:]
    return down.mean() + across.mean()


def _landmark_loss(flow: Tensor, points: Tensor) -> Tensor:
    """Return how far the flow misses where the target's speech points lie in the reference."""
    target, reference = points[:, 0], points[:, 1]
    height, width = flow.shape[2:]
    corner, size = (constant(pair, target.device) for pair in ((0, FIRST_ROW), (width, height)))
    where = (target - corner + 0.5) * (2 / size) - 1
    moved = functional.grid_sample(
        flow, where[:, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    missed = functional.smooth_l1_loss(
        moved[:, :, 0].transpose(1, 2), reference - target, reduction="none", beta=0.5
    )
    weights = torch.ones(target.shape[1], device=flow.device)
    weights[:_LIP_POINTS] = _LIP_WEIGHT
    return _LANDMARK_SCALE * (missed.sum(-1) * weights / weights.mean()).mean()


def _variation(flow: Tensor) -> Tensor:
    down = (flow[:, :, 1:] - flow[:, :, :-1]).abs().mean()
    return down + (flow[..., 1:] - flow[..., :-1]).abs().mean()
