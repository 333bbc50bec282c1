"""ONNX models on a CPU with OpenVINO, whatever their inputs and outputs.

One single-threaded stream per core, each with its own part of the batch. Beside a running encoder this is
1.35 times as fast as all threads on one request, because no thread waits for another that the encoder
pushed off its core. The shape of a part is compiled in: measured against a dynamic batch, that saves 3 % of
the official network's time and 12 % of a small one's. A second compiled shape for the rest of a batch would
double the memory (0.43 GB with the official network), so the last part is padded instead.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from openvino import CompiledModel, Core, InferRequest, Model, Tensor, Type
from openvino.preprocess import PrePostProcessor

from app.errors import InvalidModel
from app.wav2lip.arrays import FloatArray
from app.wav2lip.devices import usable_cores
from app.wav2lip.engine import DType, filled

PART: Final = 4
"""Frames in a request, if the model leaves it open: more gain 4 % at most, fewer cost up to 18 %."""

_PRECISIONS: Final[dict[DType, str]] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


class Streams:
    """A model compiled for parts of a fixed number of frames; its ends are float32."""

    dtype: DType
    batch_size: int
    """Frames of a call that give every stream a part."""

    def __init__(
        self,
        model: Model,
        path: Path,
        shapes: Mapping[int, Sequence[int]],
        dtype: DType | None = None,
        threads: int | None = None,
    ) -> None:
        """Compile ``model``, which was read from ``path``.

        ``shapes`` are those of its inputs, by their index, for one part. ``threads`` is the number of cores
        to use, by default all that this process may run on. Raises InvalidModel.
        """
        core = Core()
        self.dtype = nearest_dtype(dtype, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        self._part = next(iter(shapes.values()))[0]
        self._model = _compile(core, model, path, shapes, _config(threads, self.dtype))
        self.batch_size = self._part * self._model.get_property("NUM_STREAMS")
        self._requests: list[InferRequest] = []

    def run(self, inputs: Mapping[int, FloatArray], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return what the model makes of ``inputs``, by their index, each with any number of frames from 1.

        ``outputs`` are the shapes of one frame of what it makes. The parts are spread over the streams.
        """
        frames = len(next(iter(inputs.values())))
        whole = {index: filled(batch, self._part) for index, batch in inputs.items()}
        parts = -(-frames // self._part)
        made = [np.empty((parts * self._part, *shape), np.float32) for shape in outputs]
        requests = self._take_requests(parts)
        for number, request in enumerate(requests):
            part = slice(number * self._part, (number + 1) * self._part)
            for index, batch in whole.items():
                request.set_input_tensor(index, _shared(batch[part]))
            for index, output in enumerate(made):
                request.set_output_tensor(index, _shared(output[part]))
            request.start_async()
        for request in requests:
            request.wait()
        return [output[:frames] for output in made]

    def _take_requests(self, count: int) -> list[InferRequest]:
        """Return a request for each part; OpenVINO queues those for which no stream is free."""
        missing = count - len(self._requests)
        self._requests += [self._model.create_infer_request() for _ in range(missing)]
        return self._requests[:count]


def nearest_dtype(wanted: DType | None, capabilities: list[str]) -> DType:
    """Return the wanted precision, or the nearest of a CPU's ``capabilities``; by default the fastest."""
    halves: list[DType] = [half for half in ("bf16", "fp16") if half.upper() in capabilities]
    if wanted == "fp32" or not halves:
        return "fp32"
    return wanted if wanted in halves else halves[0]


def _compile(
    core: Core, model: Model, path: Path, shapes: Mapping[int, Sequence[int]], config: dict[str, Any]
) -> CompiledModel:
    try:
        model = _with_float32_ends(model)
        model.reshape({index: list(shape) for index, shape in shapes.items()})
        return core.compile_model(model, "CPU", config)
    except RuntimeError as error:
        raise InvalidModel(
            f"{path} cannot be compiled for the inputs {[list(shape) for shape in shapes.values()]}, which "
            f"its own shapes admit. OpenVINO says: {str(error).strip().splitlines()[-1]}"
        ) from error


def _with_float32_ends(model: Model) -> Model:
    """Have inputs and outputs of another precision converted inside the model."""
    ends = PrePostProcessor(model)
    for index in range(len(model.inputs)):
        ends.input(index).tensor().set_element_type(Type.f32)
    for index in range(len(model.outputs)):
        ends.output(index).tensor().set_element_type(Type.f32)
    return ends.build()


def _config(threads: int | None, dtype: DType) -> dict[str, Any]:
    cores = threads or usable_cores()
    return {
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
        "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
        "ENABLE_CPU_PINNING": False,  # other threads, the encoder's above all, want the same cores
    }


def _shared(array: FloatArray) -> Tensor:
    return Tensor(array, shared_memory=True)
