"""MediaPipe's networks, read from their TFLite files and run by OpenVINO on the CPU."""

from functools import cache
from pathlib import Path
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


class Network:
    """One compiled network with a 192x192 picture as input.

    ``offset`` and ``divisor`` bring 0..255 to the range on which the network was trained. It runs on
    one thread: it is small, and the other cores decode video meanwhile.
    """

    def __init__(self, file_name: str, *, offset: float, divisor: float) -> None:
        self._request = _compile(file_name, offset, divisor).create_infer_request()

    def __call__(self, image: BgrImage) -> list[NetworkOutput]:
        """Run the network on a BGR picture (192, 192, 3); return its outputs in the file's order."""
        results = self._request.infer([image[None]])
        return [np.asarray(results[port]) for port in self._request.model_outputs]


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
