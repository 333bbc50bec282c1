"""Writes the trained network as the file that the service reads, and checks it there."""

from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from app.errors import InvalidModel
from app.faces.hidden import CROP_SIZE, HiddenFinder
from app.media.files import replacing
from app.wav2lip.onnx_writer import write_graph
from training.compact import compact
from training.hidden.scenes import Scene
from training.hidden.train import as_tensors
from training.networks.hidden_mouth import HiddenMouth

LARGEST_DIFFERENCE: Final = 6
"""What the service may find otherwise than torch, of 255, in the pixel that differs most: weights are
rounded."""


class _Probability(nn.Module):
    """The network, whose logits are made to 0..1."""

    def __init__(self, network: HiddenMouth) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.network(faces)
        return logits.sigmoid()


def export_hidden(network: HiddenMouth, output: Path, scenes: list[Scene]) -> int:
    """Write ``network`` to ``output`` with weights in fp16; return the largest difference from torch, of 255.

    The file takes its name only if the service finds in ``scenes`` what torch finds. Raises InvalidModel.
    """
    model = _Probability(network).eval()
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as unproven:
        write_graph(model, unproven, inputs={"faces": (3, CROP_SIZE, CROP_SIZE)}, outputs=["hidden"])
        written = onnx.load(unproven)
        compact(written)
        onnx.save(written, unproven)
        with torch.inference_mode():
            expected = 255 * model(as_tensors(scenes)[0]).numpy()
        found = HiddenFinder(unproven).cover(scene.picture for scene in scenes)
        difference = int(np.ceil(np.abs(found - expected).max()))
        if difference > LARGEST_DIFFERENCE:
            raise InvalidModel(
                f"{output} was not written: in the service it differs from its checkpoint by "
                f"{difference} of 255, where {LARGEST_DIFFERENCE} are allowed; train it longer or again."
            )
    return difference
