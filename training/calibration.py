"""What is measured between the two halves of a model: how far mouths are opened, and how dark they are.

A network that guesses shapes from sound guesses timidly: its guesses crowd about the average opening, so
mouths neither shut nor open wide. The quantiles of the guessed openings, laid against those of the true ones,
are close to a power law, which is undone.

How dark the inside of a mouth is, the picture half has to be told. It is not heard, but light and lens can be
seen in the face: a ridge regression foresees it from the features by which the picture half sees.
"""

from typing import Any, Final

import numpy as np
import torch

from training.batches import BatchSource
from training.networks.blocks import Tensor
from training.networks.mouthpiece import (
    SHAPE_DIMS,
    Articulation,
    Shades,
    ShapeToFace,
    SpeechToShape,
    summary,
)
from training.shade import belief

AMPLITUDE: Final = 1.4
"""Share of the missing range that is given back. It is measured on voices that were trained on; of others the
guesses are more timid: of held-out news 0.9 gave back 0.68 of the true deviation, 1.4 gives 0.77."""
MAX_POWER: Final = 1.0
_QUANTILES: Final = np.linspace(0.25, 0.97, 25)
_LEAST_OPENING: Final = 0.02
"""In deviations: quantiles below are closed mouths, whose ratio means nothing."""
_BATCHES, _BATCH = 16, 256
_SHADE_BATCHES: Final = 24
_LEAST_BELIEF: Final = 0.55
"""Of a shade, from which a mouth is open enough to be learned from."""
_RIDGE: Final = 0.1
"""Beside features of deviation 1. Of people held out the foreseen shade correlates with the true one by 0.65,
with 0.03 to 1 alike; the larger, the nearer to the mean is all that is foreseen."""
DARKER, LIGHTER = 0.45, 0.8
"""By how much insides of mouths are painted darker than they were, and lighter where the reference smiles.
Where they are too light a mouth looks as if it were shut; teeth that are too dark look grey."""
_STEP: Final = 1 << 41
"""The step whose moments are measured: no run gets there."""


def measure_articulation(speech: SpeechToShape, source: BatchSource) -> Articulation:
    """Return what brings the spread of the guessed openings nearer to that of the true ones."""
    guessed, wanted = [], []
    with torch.no_grad():
        for index in range(_BATCHES):
            mel, shape = source.sounds(_STEP + index, _BATCH, augmented=False)
            guessed.append(source.opening(speech(mel)).cpu().numpy())
            wanted.append(source.opening(shape).cpu().numpy())
    middle, power = power_law(np.concatenate(guessed), np.concatenate(wanted))
    return Articulation(
        source.opening(torch.eye(SHAPE_DIMS, device=source.device)).cpu(), middle, AMPLITUDE * power
    )


def measure_shades(face: ShapeToFace, source: BatchSource) -> Shades:
    """Return what foresees the shade to paint open mouths with in the faces of ``source``."""
    seen, wanted, weights = [], [], []
    with torch.no_grad():
        for index in range(_SHADE_BATCHES):
            batch = source.batch(_STEP + index, _BATCH)
            believed = belief(batch.inner_mouth)
            seen.append(summary(*face.look(batch.face)[1:]))
            shades = batch.shape[:, -1] / believed.clamp(min=_LEAST_BELIEF)
            wanted.append(torch.where(batch.smiling, shades + LIGHTER, shades - DARKER))
            weights.append(believed * (believed > _LEAST_BELIEF))
    weight, bias = ridge(*(torch.cat(parts).cpu().double() for parts in (seen, wanted, weights)))
    return Shades(weight.float(), bias)


def ridge(features: Tensor, wanted: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    """Return (weight (C,), bias) that foresee ``wanted`` (n,) from ``features`` (n, C), shrunk to the mean.

    Samples count by ``weights`` (n,); if all of them are 0, nothing is foreseen.
    """
    share = weights / weights.sum().clamp(min=1e-9)
    mean, middle = share @ features, share @ wanted
    scale = (share @ (features - mean).square()).sqrt().clamp(min=1e-6)
    normal = (features - mean) / scale
    covariance = normal.T @ (share[:, None] * normal) + _RIDGE * torch.eye(len(mean), dtype=mean.dtype)
    weight = torch.linalg.solve(covariance, normal.T @ (share * (wanted - middle))) / scale
    return weight, float(middle - mean @ weight)


def power_law(guessed: Any, wanted: Any) -> tuple[float, float]:
    """Return (middle, power) with which guessed * (guessed / middle) ** power has the quantiles of wanted.

    Both are openings (n,). Without a spread to compare, the power is 0.
    """
    pairs = np.stack([np.quantile(guessed, _QUANTILES), np.quantile(wanted, _QUANTILES)])
    pairs = np.log(pairs[:, (pairs > _LEAST_OPENING).all(axis=0)])
    if pairs.shape[1] < 3 or np.ptp(pairs[0]) < 1e-3:
        return 1.0, 0.0
    slope = float(np.polyfit(pairs[0], pairs[1], 1)[0])
    power = min(slope - 1, MAX_POWER)
    if power < 1e-2:
        return 1.0, 0.0
    return float(np.exp(pairs[0].mean() - (pairs[1] - pairs[0]).mean() / power)), power
