"""Goes on from a model file: the weights of an exported model, back in the networks that they came from.

An exporter folds batch normalisation into the convolutions. Here each norm is set so that it changes nothing
on a batch of real samples: from there on it is trained as any other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from app.errors import InvalidModel
from training.checkpoints import load_weights
from training.networks.blocks import ConvNorm, Residual
from training.settings import StageName


def load_exported(network: nn.Module, path: Path, part: StageName, run: Callable[[], object]) -> None:
    """Put the weights of one part of the model at ``path`` into ``network``.

    ``run`` runs the network once, on real samples. Raises InvalidModel if the file has no such part, or one
    of another architecture.
    """
    weights, biases = _weights(_read(path))
    state, norms = network.state_dict(), dict(_norms(network))
    found = {name: weights[f"{part}.{name}"] for name in state if f"{part}.{name}" in weights}
    if not found:
        raise _not_ours(path)
    folded = {name: state[name] for name in state if name.rpartition(".")[0] in norms}
    load_weights(network, {**folded, **found}, path)
    shifts = {norm: biases.get(f"{part}.{convolution}.weight", 0.0) for norm, convolution in norms.items()}
    training = network.training
    network.train()
    with torch.no_grad(), _neutral(network, shifts):
        run()
    network.train(training)


@contextmanager
def _neutral(network: nn.Module, shifts: dict[str, Any]) -> Iterator[None]:
    """Have every norm that is run set itself to pass on what it is given, plus its part of ``shifts``."""

    def adjust(shift: Any) -> Callable[[Any, Any], None]:
        def hook(norm: Any, inputs: Any) -> None:
            x = inputs[0].float()
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean + shift)

        return hook

    modules = dict(network.named_modules())
    hooks = [
        modules[name].register_forward_pre_hook(adjust(torch.as_tensor(shift)))
        for name, shift in shifts.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _norms(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the name of every norm with that of its convolution."""
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm):
            yield f"{name}.1", f"{name}.0"
        elif isinstance(module, Residual):
            yield f"{name}.norm", f"{name}.second"


def _weights(model: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights by their names, and by those names the biases of convolutions."""
    arrays = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    biases = {
        node.input[1]: tensors[node.input[2]]
        for node in model.graph.node
        if node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in tensors
    }
    return tensors, biases


def _read(path: Path) -> Any:
    try:
        return onnx.load(path)
    except Exception as error:  # a file of another kind makes protobuf raise anything
        raise _not_ours(path) from error


def _not_ours(path: Path) -> InvalidModel:
    return InvalidModel(
        f"{path} is no model that 'python -m training export' wrote: there is nothing to go on from."
    )
