"""Writes the network as an ONNX file with torch's exporter."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from app.wav2lip.engine import DEFAULT_FACE_SIZE, MEL_SHAPE


class _HalfPrecision(nn.Module):
    """The network in fp16 behind fp32 inputs and output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        faces: Tensor = self.network(mel.half(), face.half())
        return faces.float()


def write_onnx(network: nn.Module, path: Path, *, half: bool = False) -> None:
    """Write ``network`` to ``path`` for any number of frames; with ``half`` it computes in fp16.

    ``network`` is a Wav2Lip, its LowerRows, or another module with the interface; one that was given to be
    halved is in fp16 afterwards.
    """
    size = DEFAULT_FACE_SIZE
    write_graph(
        _HalfPrecision(network).eval() if half else network,
        path,
        inputs={"mel_batch": MEL_SHAPE, "face_batch": (6, size, size)},
        outputs=["output"],
    )


def write_graph(
    network: nn.Module, path: Path, *, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]
) -> None:
    """Write a module to ``path`` for any number of frames.

    ``inputs`` are the shapes of one frame of what it takes, by name, ``outputs`` the names of what it makes.
    The exporter is the one built on ``torch.export``: it takes 9 s, the one built on TorchScript 2 s for the
    same graph, but that one is deprecated.
    """
    batch = torch.export.Dim("batch")
    with quiet_exporter():
        torch.onnx.export(
            network,
            tuple(torch.zeros(2, *shape) for shape in inputs.values()),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep to itself what the exporter says of its own workings: of torchvision, of coming changes."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
