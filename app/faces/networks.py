"""Small networks on the CPU by OpenVINO, and those of them that are MediaPipe's, read from TFLite files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from app.media.frames import BgrImage

NetworkOutput = npt.NDArray[np.float32]
"""float32, flat in its last axis: one output tensor of a network."""

INPUT_SIZE: Final = 192
"""Width and height of the square input of both networks, pixels."""

MODELS: Final = Path(__file__).parent / "models"
"""The folder of the networks that see faces and mouths."""

Preparation = Callable[[ov.Model], ov.Model]
"""Puts before a model what turns 8-bit pictures into its input; what is equal is compiled once."""

_COMPILING: Final = Lock()
"""Held while a network is compiled, so that whoever wants the same one waits for it."""


class Network:
    """One compiled network with a 192x192 picture as input.

    ``offset`` and ``divisor`` bring 0..255 to the range on which the network was trained. It runs on
    one thread: it is small, and the other cores decode video meanwhile.
    """

    def __init__(self, file_name: str, *, offset: float, divisor: float) -> None:
        network = compiled(MODELS / file_name, _Scaled(offset, divisor))
        self._request = network.create_infer_request()
        self._outputs = range(len(self._request.model_outputs))
        self._input = np.empty((1, INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        self._request.set_input_tensor(0, ov.Tensor(self._input, shared_memory=True))

    def __call__(self, image: BgrImage) -> list[NetworkOutput]:
        """Run the network on a BGR picture (192, 192, 3); return its outputs in the file's order.

        The next call overwrites them.
        """
        self._input[0] = image
        self._request.infer(share_outputs=True)
        return [self._request.get_output_tensor(index).data for index in self._outputs]


@dataclass(frozen=True)
class _Scaled:
    """The :data:`Preparation` of MediaPipe's networks."""

    offset: float
    divisor: float

    def __call__(self, model: ov.Model) -> ov.Model:
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(
            ColorFormat.BGR
        )
        steps.input().model().set_layout(ov.Layout("NHWC"))
        steps.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).mean(
            self.offset
        ).scale(self.divisor)
        return steps.build()


def compiled(path: Path, preparation: Preparation, threads: int = 1) -> ov.CompiledModel:
    """Return the network at ``path``, compiled once, for so many ``threads`` that run it side by side."""
    with _COMPILING:
        return _compile(path, preparation, threads)


@cache
def _compile(path: Path, preparation: Preparation, threads: int) -> ov.CompiledModel:
    core = ov.Core()
    return core.compile_model(
        preparation(core.read_model(path)),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # decoders want the same cores
        },
    )


@dataclass(frozen=True)
class SinglePicture:
    """The :data:`Preparation` of this project's networks: single pictures, uint8, BGR, channels last."""

    width: int
    height: int

    def __call__(self, model: ov.Model) -> ov.Model:
        """Return the model with the preparation before it."""
        model.reshape([1, 3, self.height, self.width])
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().model().set_layout(ov.Layout("NCHW"))
        steps.input().preprocess().convert_element_type(ov.Type.f32).scale(255.0)
        return steps.build()
