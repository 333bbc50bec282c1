"""The losses of the generators."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from app.mouths.painter import FACE_SIZE, FIRST_ROW
from app.mouths.points import JAW, SPEECH_POINTS, mirrored_points
from app.mouths.space import COMPONENTS
from training.batches import MOUTH_HEIGHT, MOUTH_WIDTH, Batch
from training.networks.blocks import constant
from training.networks.face import Rendering
from training.networks.paint import LAPLACIAN
from training.tuned import LossNumbers

_LIP_POINTS: Final = 44
_INNER_LIPS: Final = slice(22, 44)
"""Of the points, the outlines of both lips, and the inner lips."""
_MIRRORED: Final = tuple(mirrored_points())
_JAW_ENDS: Final = (SPEECH_POINTS.index(JAW[0]), SPEECH_POINTS.index(JAW[-1]))


def mouth_weights(numbers: LossNumbers, device: torch.device | str) -> Tensor:
    """Return the weight of each generated pixel (1, 1, 56, 96), 1 on average, most around the mouth."""
    rows = torch.arange(FIRST_ROW, FACE_SIZE, device=device)[:, None]
    columns = torch.arange(FACE_SIZE, device=device)
    across = ((columns - numbers.mouth_centre[0]) / numbers.mouth_reach[0]) ** 2
    down = ((rows - numbers.mouth_centre[1]) / numbers.mouth_reach[1]) ** 2
    fall = torch.exp(-(across + down) / numbers.mouth_width)
    weights = numbers.mouth_floor + numbers.mouth_peak * fall
    return (weights / weights.mean())[None, None]


def rendering_losses(made: Rendering, batch: Batch, numbers: LossNumbers) -> dict[str, Tensor]:
    """Return what a rendering misses: pixels, edges, landmarks, the inner mouth, what it could keep."""
    true = batch.target[:, :, FIRST_ROW:]
    inner = _spread(batch.inner_mouth)
    base = mouth_weights(numbers, true.device)
    weights = base * (1 + numbers.inner_weight * inner)
    difference = made.face - true
    return {
        "pixels": (difference.abs() * weights).mean(),
        "edges": numbers.edges * _edge_loss(difference, weights),
        "warp": numbers.warp * ((made.warped - true).abs() * base * (1 - inner)).mean(),
        "landmarks": _landmark_loss(made.flow, batch.points, numbers),
        "smoothness": numbers.smoothness * _variation(made.flow),
        "specks": numbers.specks * _specks(made.face, true, base, inner, numbers),
        "texture": numbers.texture * _texture(made.face, true, base, numbers),
        "outline": numbers.outline
        * functional.binary_cross_entropy_with_logits(made.mouth_logits, batch.inner_mouth),
        "kept": numbers.keep * keeping_loss(made, batch, numbers),
    }


def keeping_loss(made: Rendering, batch: Batch, numbers: LossNumbers) -> Tensor:
    """Return how much of the inner mouth is painted although the reference has it, 0..1.

    A reference counts the more the nearer it is in shape.
    """
    missing = batch.shape[:, :COMPONENTS].square().sum(1)
    near = torch.exp(-0.5 * missing / numbers.keep_reach**2)
    inner = _spread(batch.inner_mouth)
    painted = ((1 - made.shown) * inner).flatten(1).sum(1) / (inner.flatten(1).sum(1) + numbers.few_pixels)
    return (near * painted).mean()


def _specks(made: Tensor, true: Tensor, base: Tensor, inner: Tensor, numbers: LossNumbers) -> Tensor:
    """Return by how much pixels are brighter than anything near them in the true picture, teeth left out."""
    near, corner = numbers.speck_near, numbers.speck_corner
    brightest = functional.max_pool2d(true, near, stride=1, padding=near // 2)
    overshoot = functional.relu(made - brightest - numbers.speck_tolerated)
    edge = functional.max_pool2d(1 - inner, (1, corner), stride=1, padding=(0, corner // 2))
    return (overshoot * base * edge).mean()


def _texture(made: Tensor, true: Tensor, base: Tensor, numbers: LossNumbers) -> Tensor:
    missed = (_detail(made, numbers) - _detail(true, numbers)).abs()
    return (missed * _patches(base, numbers)).mean()


def _detail(pictures: Tensor, numbers: LossNumbers) -> Tensor:
    """Return the logarithm of how much fine detail there is about each place, wherever it lies (B, 1, h, w).

    An error of pixels prefers no detail to detail in the wrong place; this wants as much as is true. By the
    ratio, so that in soft footage mouths become as soft.
    """
    gray = functional.pad(pictures.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    edges = functional.conv2d(gray, constant(((LAPLACIAN,),), gray.device))
    return 0.5 * (_patches(edges.square(), numbers) + numbers.texture_least**2).log()


def _patches(x: Tensor, numbers: LossNumbers) -> Tensor:
    side = numbers.texture_patch
    return functional.avg_pool2d(x, side, numbers.texture_step, side // 2, count_include_pad=False)


def as_seen(points: Tensor) -> Tensor:
    """Return points (B, K, 2) in an unmirrored face's order: pictures do not tell if they are mirrored."""
    first, last = points[:, _JAW_ENDS, 0].unbind(1)
    return torch.where((first > last)[:, None, None], points[:, constant(_MIRRORED, points.device)], points)


def reading_losses(found: Tensor, wanted: Tensor, numbers: LossNumbers) -> dict[str, Tensor]:
    """Return how far points (B, K, 2) miss their places, and how far inner lips miss their distance."""
    missed = functional.smooth_l1_loss(found, wanted, reduction="none", beta=0.5).sum(-1)
    weights = torch.ones(found.shape[1], device=found.device)
    weights[:_LIP_POINTS] = numbers.lip_points
    weights[_INNER_LIPS] = numbers.inner_lip_points
    gaps = functional.smooth_l1_loss(_gaps(found), _gaps(wanted), beta=0.5)
    return {
        "points": numbers.reading * (missed * weights / weights.mean()).mean(),
        "gaps": numbers.reading * gaps,
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


def _landmark_loss(flow: Tensor, points: Tensor, numbers: LossNumbers) -> Tensor:
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
    weights[:_LIP_POINTS] = numbers.lip_points
    return numbers.landmarks * (missed.sum(-1) * weights / weights.mean()).mean()


def _variation(flow: Tensor) -> Tensor:
    down = (flow[:, :, 1:] - flow[:, :, :-1]).abs().mean()
    return down + (flow[..., 1:] - flow[..., :-1]).abs().mean()
