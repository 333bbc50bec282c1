"""Chooses the engine for a model, by file suffix and device."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.errors import EngineUnavailable, InvalidModel
from app.extras import require_packages
from app.wav2lip.devices import check_device, has_cuda_driver
from app.wav2lip.engine import DType, Engine

log = logging.getLogger(__name__)

CHECKPOINT_SUFFIXES: Final = (".pth", ".pt")
ONNX_SUFFIX: Final = ".onnx"


@dataclass(frozen=True)
class EngineRequest:
    """What the caller asks for; None leaves the choice to the engine."""

    dtype: DType | None = None
    device: str = "auto"
    face_size: int | None = None
    threads: int | None = None
    cache_dir: Path | None = None
    lower_rows: bool = False
    """Whether rows S // 2.. of the faces are enough; ONNX models make what they make."""


def open_engine(path: Path, request: EngineRequest) -> Engine:
    """Load the model at ``path`` into the engine that suits its suffix and the device.

    ``auto`` takes CUDA where it works, else the CPU, and logs why if a driver is found. Raises InvalidModel
    if the file is none, EngineUnavailable if a package or a device is missing, or for a device of no such
    name.
    """
    if path.suffix not in (*CHECKPOINT_SUFFIXES, ONNX_SUFFIX):
        raise InvalidModel(f"{path} is neither a .pth checkpoint nor an .onnx model, going by its name.")
    check_device(request.device)
    if request.device == "auto" and has_cuda_driver():
        try:
            return _open_on_cuda(path, replace(request, device="cuda"))
        except EngineUnavailable as error:  # no device, or no package that would use it
            log.warning("The model runs on the CPU though there is a driver for a GPU. %s", error.detail)
    if request.device in ("auto", "cpu"):
        return _open_on_cpu(path, request)
    return _open_on_cuda(path, request)


def _open_on_cuda(path: Path, request: EngineRequest) -> Engine:
    device = request.device
    if path.suffix == ONNX_SUFFIX:
        require_packages(f"Running an ONNX model on {device}", "onnxruntime")
        from app.wav2lip.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(
            path,
            request.dtype,
            device=device,
            face_size=request.face_size,
            cache_dir=request.cache_dir,
        )
    require_packages(f"Running a checkpoint on {device}", "torch")
    from app.wav2lip.torch_engine import TorchEngine

    return TorchEngine(path, request.dtype, device=device, lower_rows=request.lower_rows)


def _open_on_cpu(path: Path, request: EngineRequest) -> Engine:
    from app.wav2lip.openvino_engine import OpenVinoEngine

    if path.suffix != ONNX_SUFFIX:
        from app.wav2lip.conversion import converted

        path = converted(path, request.cache_dir, lower_rows=request.lower_rows)
    return OpenVinoEngine(path, request.dtype, face_size=request.face_size, threads=request.threads)
