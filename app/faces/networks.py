"""MediaPipe's networks, read from their TFLite files and run by OpenVINO on the CPU."""

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

_MODELS: Final = Path(__file__).parent / "models"

_COMPILING: Final = Lock()
"""Held while a network is compiled, so that whoever wants the same one waits for it."""


class Network:
    """One compiled network with a 192x192 picture as input.

    ``offset`` and ``divisor`` bring 0..255 to the range on which the network was trained. It runs on
    one thread: it is small, and the other cores decode video meanwhile.
    """

    def __init__(self, file_name: str, *, offset: float, divisor: float) -> None:
        with _COMPILING:
            compiled = _compile(file_name, offset, divisor)
        self._request = compiled.create_infer_request()
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


@cache
def _compile(file_name: str, offset: float, divisor: float) -> ov.CompiledModel:
    core = ov.Core()
    steps = PrePostProcessor(core.read_model(_MODELS / file_name))
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(
        ColorFormat.BGR
    )
    steps.input().model().set_layout(ov.Layout("NHWC"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).mean(
        offset
    ).scale(divisor)
    return core.compile_model(
        steps.build(),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # decoders want the same core
        },
    )
