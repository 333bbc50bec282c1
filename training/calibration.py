"""How dark the insides of mouths are to be painted: foreseen from the face, when a model is exported.

The network has to be told it. It is not heard, but light and lens can be seen in the face: a ridge regression
foresees it from the features by which the network sees.
"""

from typing import Final

import torch
from torch import Tensor

from training.batches import BatchSource
from training.networks.face import ShapeToFace
from training.networks.paint import Shades, summary
from training.tuned import PaintNumbers

_STEP: Final = 1 << 41
"""The step whose moments are measured: no run gets there."""


def measure_shades(face: ShapeToFace, source: BatchSource, opening: Tensor, numbers: PaintNumbers) -> Shades:
    """Return what foresees the shade to paint open mouths with in the faces of ``source``.

    The references of ``source`` are to rest. ``opening`` (8,) adds shapes up to an opening, in deviations.
    """
    seen, wanted, weights = [], [], []
    with torch.no_grad():
        for index in range(numbers.shade_batches):
            batch = source.batch(_STEP + index, numbers.shade_batch)
            more = batch.more_inside
            seen.append(summary(*face.look(batch.face)[1:]))
            wanted.append(batch.shape[:, -1] / more.clamp(min=numbers.shade_belief))
            weights.append(more * (more > numbers.shade_belief))
    parts = (torch.cat(part).cpu().double() for part in (seen, wanted, weights))
    weight, bias = ridge(*parts, strength=numbers.ridge)
    return Shades(weight.float(), bias, opening, numbers)


def ridge(features: Tensor, wanted: Tensor, weights: Tensor, *, strength: float) -> tuple[Tensor, float]:
    """Return (weight (C,), bias) that foresee ``wanted`` (n,) from ``features`` (n, C), shrunk to the mean.

    Samples count by ``weights`` (n,); if all of them are 0, nothing is foreseen. ``strength`` stands beside
    features of deviation 1.
    """
    share = weights / weights.sum().clamp(min=1e-9)
    mean, middle = share @ features, share @ wanted
    scale = (share @ (features - mean).square()).sqrt().clamp(min=1e-6)
    normal = (features - mean) / scale
    covariance = normal.T @ (share[:, None] * normal) + strength * torch.eye(len(mean), dtype=mean.dtype)
    weight = torch.linalg.solve(covariance, normal.T @ (share * (wanted - middle))) / scale
    return weight, float(middle - mean @ weight)
