"""Takes a written network up again, to go on teaching it."""

from functools import partial
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from torch import Tensor, nn

from app.errors import InvalidModel
from training.hidden.settings import SECTION
from training.networks.blocks import ConvNorm
from training.networks.hidden_mouth import HiddenMouth


def take_up(path: Path, network: HiddenMouth, pictures: Tensor) -> None:
    """Give ``network`` the weights of the file at ``path``, which ``export_hidden`` wrote.

    Exporting folds every batch normalisation into the convolution before it. Here it gets the statistics of
    ``pictures`` (B, 3, 96, 96), 0..1, and weights that undo them: the network answers as the file does.
    Raises InvalidModel if the file holds another network.
    """
    try:
        graph = onnx.load(path).graph
        arrays = {
            weights.name.removesuffix(".fp16"): torch.from_numpy(onnx.numpy_helper.to_array(weights).copy())
            for weights in graph.initializer
        }
        folded = [node.input for node in graph.node if node.op_type == "Conv"]
        biases = {names[1]: arrays[names[2]] for names in folded if len(names) > 2}  # none where it is zero
        hooks = []
        for name, layer in network.named_modules():
            if isinstance(layer, ConvNorm):
                weights = arrays[f"network.{name}.0.weight"]
                bias = biases.get(f"network.{name}.0.weight", torch.zeros(len(weights)))
                undo = partial(_undo, layer[1], bias)
                hooks.append(layer[0].register_forward_hook(undo))
        for name, own in network.named_parameters():
            if f"network.{name}" in arrays:
                own.data.copy_(arrays[f"network.{name}"])
    except (DecodeError, KeyError, RuntimeError) as error:
        raise InvalidModel(f"{path} is not a network of the stage {SECTION!r}: {error!r}.") from error
    with torch.inference_mode():
        network.eval()(pictures)
    for hook in hooks:
        hook.remove()


def _undo(norm: nn.Module, bias: Tensor, _: nn.Module, __: tuple[Tensor, ...], features: Tensor) -> None:
    """Make ``norm`` do nothing to ``features`` (B, C, H, W) but add ``bias`` (C,)."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3))
    for own, value in (
        (norm.running_mean, mean),
        (norm.running_var, variance),
        (norm.weight.data, (variance + norm.eps).sqrt()),
        (norm.bias.data, bias + mean),
    ):
        own.copy_(value)
