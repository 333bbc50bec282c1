"""The mean of networks that were trained one from another: it marks far less by mistake than any of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from training.hidden.written import take_up
from training.networks.hidden_mouth import HiddenMouth

TRAINED: Final = "trained.onnx"
"""Name of the file, in the folder of a run, of what was trained there, before it is averaged with others."""

BATCHES: Final = 24
"""Of drawn scenes, whose statistics the normalisations of the mean get."""


def mean_network(paths: Sequence[Path], batches: Iterable[Tensor]) -> HiddenMouth:
    """Return the network, evaluating, whose weights are the means of those of the files at ``paths``.

    Each file is one that ``export_hidden`` wrote. ``batches`` are pictures (B, 3, 96, 96), 0..1. Raises
    InvalidModel if a file holds another network.
    """
    first, *others = batches
    states = []
    for path in paths:
        network = HiddenMouth()
        take_up(path, network, first)
        states.append(network.state_dict())
    mean = HiddenMouth()
    with torch.no_grad():
        for name, weights in mean.state_dict().items():
            if weights.is_floating_point():
                weights.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
        mean.train()
        for layer in mean.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None  # the mean over all batches
        for pictures in (first, *others):
            mean(pictures)
    return mean.eval()
