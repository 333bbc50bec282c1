"""How far mouths are opened and shut: a network that guesses shapes from sound guesses timidly.

Its guesses crowd about the average opening, so mouths neither shut nor open wide. The quantiles of the
guessed openings, laid against those of the true ones, are close to a power law; a share of it is undone.
"""

from typing import Any, Final

import numpy as np
import torch

from training.batches import BatchSource
from training.networks.mouthpiece import SHAPE_DIMS, Articulation, SpeechToShape

AMPLITUDE: Final = 0.9
"""Share of the missing range that is given back: what is guessed wrong is enlarged as well."""
MAX_POWER: Final = 1.0
_QUANTILES: Final = np.linspace(0.25, 0.97, 25)
_LEAST_OPENING: Final = 0.02
"""In deviations: quantiles below are closed mouths, whose ratio means nothing."""
_BATCHES, _BATCH = 16, 256
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
