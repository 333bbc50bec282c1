"""How far mouths are turned up: a network that guesses shapes from sound guesses timidly."""

from typing import Any, Final

import numpy as np
import torch

from training.batches import BatchSource
from training.networks.mouthpiece import SHAPE_DIMS, SpeechToShape

AMPLITUDE: Final = 0.7
"""Of the true deviation: what the mouths are turned up to."""
MAX_GAIN: Final = 1.4
"""The gain opens the average mouth as well: at 2 it never seems to shut."""
LEAST_CORRELATION: Final = 0.2
"""A component that is guessed worse than this is noise, and is not turned up."""
_BATCHES, _BATCH = 16, 256
_STEP: Final = 1 << 41
"""The step whose moments are measured: no run gets there."""


def measure_gain(speech: SpeechToShape, source: BatchSource) -> Any:
    """Return the gain (6,) that brings each component to its share of the true deviation."""
    made, true = [], []
    with torch.no_grad():
        for index in range(_BATCHES):
            mel, shape = source.sounds(_STEP + index, _BATCH, augmented=False)
            made.append(speech(mel).cpu().numpy())
            true.append(shape.cpu().numpy())
    guessed, wanted = np.concatenate(made), np.concatenate(true)
    gain = np.ones(SHAPE_DIMS, np.float32)
    for k in range(SHAPE_DIMS):
        if np.corrcoef(guessed[:, k], wanted[:, k])[0, 1] >= LEAST_CORRELATION:
            gain[k] = np.clip(AMPLITUDE * wanted[:, k].std() / guessed[:, k].std(), 1, MAX_GAIN)
    return torch.from_numpy(gain)
