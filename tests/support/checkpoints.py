"""Random checkpoints in the layout of the official ones, the same for a seed on every machine."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[Any]]
"""The entries of a state dict: float32 arrays, and int64 counters of shape ()."""


@lru_cache(maxsize=1)
def random_weights(seed: int = 0) -> Weights:
    """Return random weights of the official network, scaled so that its output spans most of 0..1."""
    import torch

    from app.wav2lip.network import Wav2Lip

    with torch.device("meta"):
        shapes = {name: tuple(entry.shape) for name, entry in Wav2Lip().state_dict().items()}
    rng = np.random.default_rng(seed)
    return {name: _entry(name, shape, shapes, rng) for name, shape in shapes.items()}


def random_checkpoint(path: Path, seed: int = 0, module_prefix: bool = False) -> Path:
    """Write a checkpoint (145 MB) as training leaves it, optimizer state and counters included."""
    import torch

    prefix = "module." if module_prefix else ""
    state = {prefix + name: torch.from_numpy(array) for name, array in random_weights(seed).items()}
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(8)}}, "param_groups": []}
    torch.save({"state_dict": state, "optimizer": optimizer, "global_step": 3, "global_epoch": 1}, path)
    return path


def _entry(
    name: str, shape: tuple[int, ...], shapes: dict[str, tuple[int, ...]], rng: np.random.Generator
) -> npt.NDArray[Any]:
    if name.endswith("num_batches_tracked"):
        return np.array(3, np.int64)
    if name.endswith("running_var"):
        return rng.uniform(0.8, 1.25, shape).astype(np.float32)
    if len(shape) == 1 and name.endswith("conv_block.1.weight"):
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    if len(shape) == 1:
        return rng.normal(0, 0.1, shape).astype(np.float32)
    return (_spread(name, shape) * rng.standard_normal(shape, np.float32)).astype(np.float32)


def _spread(name: str, shape: tuple[int, ...]) -> float:
    """The deviation of a kernel's weights that keeps the features' size through the layers."""
    transposed = name.startswith("face_decoder_blocks") and name.split(".")[2] == "0" and shape[2] == 3
    outputs, inputs = shape[:2] if not transposed else (shape[1], shape[0])
    taps = inputs * shape[2] * shape[3] / (4 if transposed else 1)
    residual = inputs == outputs and shape[2] == 3 and not transposed
    return float((0.5 if residual else 1.3) / taps**0.5)
