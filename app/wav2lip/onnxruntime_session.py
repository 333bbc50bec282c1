"""ONNX models with Wav2Lip's interface in ONNX Runtime: on NVIDIA GPUs by TensorRT or CUDA."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import onnxruntime

from app.errors import EngineUnavailable, InvalidModel
from app.extras import install_command
from app.wav2lip.arrays import FloatArray
from app.wav2lip.devices import cuda_index, has_tensorrt, usable_cores
from app.wav2lip.engine import DType, bind, filled
from app.wav2lip.onnx_file import graph_dtype, port_shapes, read_onnx

_CPU_BATCH: Final = 4
_CUDA_BATCH: Final = 32

_TENSORRT: Final = "TensorrtExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_CPU: Final = "CPUExecutionProvider"

_ELEMENT_TYPES: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Session:
    """A model in an ONNX Runtime session. All batches have one size, the last is filled up."""

    name: ClassVar = "onnxruntime"
    device: str
    dtype: DType
    batch_size: int

    def __init__(
        self,
        path: Path,
        dtype: DType | None,
        *,
        device: str,
        threads: int | None,
        cache_dir: Path | None,
    ) -> None:
        """Load the model at ``path``.

        TensorRT computes in ``dtype``, fp16 by default; the other providers in that of the model. In
        ``cache_dir`` TensorRT keeps what it has built for this GPU, which takes it minutes. Raises
        InvalidModel and EngineUnavailable.
        """
        model = read_onnx(path)
        self.binding = bind(*port_shapes(model), path)
        self.device = device if device == "cpu" else f"cuda:{cuda_index(device)}"
        providers = _providers(self.device, dtype, cache_dir)
        self.batch_size = self.binding.frames or (_CPU_BATCH if device == "cpu" else _CUDA_BATCH)
        self._session = _open_session(path, providers, threads or usable_cores())
        provider = self._session.get_providers()[0]
        if device != "cpu" and provider == _CPU:
            raise _no_cuda(self.device)
        self.dtype = _computed_dtype(provider, dtype, graph_dtype(model))
        self._inputs = [(port.name, _element_type(port, path)) for port in self._session.get_inputs()]

    def run(self, inputs: Mapping[int, FloatArray]) -> list[FloatArray]:
        """Return what the model makes of ``inputs``, by their index, for any number of frames from 1."""
        frames, size = len(next(iter(inputs.values()))), self.batch_size
        whole = {index: filled(batch, size) for index, batch in inputs.items()}
        parts = [
            self._run({index: batch[at : at + size] for index, batch in whole.items()})
            for at in range(0, frames, size)
        ]
        return [np.concatenate(made)[:frames] for made in zip(*parts, strict=True)]

    def _run(self, inputs: Mapping[int, FloatArray]) -> list[FloatArray]:
        feeds = {
            name: inputs[index].astype(element_type, copy=False)
            for index, (name, element_type) in enumerate(self._inputs)
        }
        return [output.astype(np.float32, copy=False) for output in self._session.run(None, feeds)]


def _providers(device: str, dtype: DType | None, cache_dir: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the providers for ``device`` that are installed, the fastest first, with their options."""
    if device == "cpu":
        return [(_CPU, {})]
    installed = onnxruntime.get_available_providers()
    if _CUDA not in installed:
        raise _no_cuda(device)
    onnxruntime.preload_dlls()
    usable = set(installed) if has_tensorrt() else set(installed) - {_TENSORRT}
    options = provider_options(cuda_index(device), dtype, cache_dir)
    return [(name, options[name]) for name in options if name in usable]


def provider_options(index: int, dtype: DType | None, cache_dir: Path | None) -> dict[str, dict[str, Any]]:
    """Return the options of the providers for CUDA device ``index``, the fastest provider first."""
    tensorrt: dict[str, Any] = {
        "device_id": index,
        "trt_fp16_enable": dtype in (None, "fp16"),
        "trt_bf16_enable": dtype == "bf16",
    }
    if cache_dir is not None:
        tensorrt |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache_dir)}
    return {_TENSORRT: tensorrt, _CUDA: {"device_id": index, "use_tf32": dtype != "fp32"}, _CPU: {}}


def _no_cuda(device: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"ONNX Runtime {onnxruntime.__version__} cannot use {device}: make sure that `nvidia-smi` lists it, "
        f"then run `{install_command('--force-reinstall', 'onnxruntime-gpu')}`; or set MOUTHPIECE_DEVICE=cpu."
    )


def _open_session(path: Path, providers: list[tuple[str, dict[str, Any]]], threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only: which provider runs is looked up, not read in the log
    try:
        return onnxruntime.InferenceSession(str(path), options, providers)
    except Exception as error:  # ONNX Runtime's classes have no other base
        raise InvalidModel(f"{path} cannot be run by ONNX Runtime: {str(error).strip()}") from error


def _element_type(port: Any, path: Path) -> Any:
    if port.type not in _ELEMENT_TYPES:
        raise InvalidModel(f"{path} takes {port.type} as {port.name}: expected float32 or float16.")
    return _ELEMENT_TYPES[port.type]


def _computed_dtype(provider: str, wanted: DType | None, graph: DType) -> DType:
    if provider == _TENSORRT:
        return wanted or "fp16"
    return graph if provider == _CUDA else "fp32"
