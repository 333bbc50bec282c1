"""Checks of the machine and of what is installed on it. They yield findings and raise nothing."""

import importlib.util
import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from app import __version__
from app.doctor.finding import Finding, Level
from app.extras import install_command
from app.sandbox import protection
from app.settings import Settings
from app.wav2lip.card import runs_on_cpu
from app.wav2lip.choice import ONNX_SUFFIX
from app.wav2lip.devices import cuda_devices, has_cuda_driver, usable_cores

_LITTLE_MEMORY: Final = 2 << 30
_CGROUP_MEMORY: Final = Path("/sys/fs/cgroup/memory.max")
"""What a container may use: bytes, or ``max`` (cgroup v2)."""
_DRIVER: Final = Path("/proc/driver/nvidia/version")


def python(settings: Settings) -> Iterator[Finding]:
    """Say which Mouthpiece and which Python run, on what."""
    yield Finding("mouthpiece", "good", __version__)
    yield Finding(
        "python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def processor(settings: Settings) -> Iterator[Finding]:
    """Say whether the processor computes in bf16, and whether the model does."""
    import openvino

    core = openvino.Core()
    name = core.get_property("CPU", "FULL_DEVICE_NAME")
    cores = usable_cores()
    halves = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if runs_on_cpu(settings.model_path):
        found = f"{name}, {cores} cores, {'supports' if halves else 'no'} bf16: this model runs in fp32"
        yield Finding("processor", "good", found)
    elif halves:
        found = f"{name}, {cores} cores, supports bf16: the model can run twice as fast as in fp32"
        yield Finding("processor", "good", found)
    else:
        yield Finding(
            "processor",
            "note",
            f"{name}, {cores} cores, no bf16: the model runs in fp32 and takes twice as long",
            "a processor with AVX-512 bf16 or AMX, or a GPU",
        )


def cuda(settings: Settings) -> Iterator[Finding]:
    """Say whether a GPU is there and whether the model can run on it, if it would."""
    wanted, idle = settings.device.startswith("cuda"), runs_on_cpu(settings.model_path)
    level: Level = "problem" if wanted else "good" if idle else "note"
    instead = "MOUTHPIECE_DEVICE asks for CUDA" if wanted else "the CPU is used"
    if not (devices := cuda_devices()):
        remedy = "an NVIDIA driver (nvidia-smi shows it), and in a container: docker run --gpus all"
        found = f"no CUDA device, {_driver()}: {instead}"
        yield Finding("cuda", level, found, "" if level == "good" else remedy)
        return
    found = f"CUDA devices: {devices}, {_driver()}"
    if idle:
        yield Finding("cuda", "good", f"{found}; this model runs on the CPU")
        return
    lack = _lacks_onnxruntime() if settings.model_path.suffix == ONNX_SUFFIX else _lacks_torch()
    if not lack:
        yield Finding("cuda", "good", found)
    else:
        remedy = install_command("mouthpiece[cuda]")
        yield Finding("cuda", level, f"{found}; {lack}: {instead}", remedy)


def _lacks_torch() -> str:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} finds none"


def _lacks_onnxruntime() -> str:
    if importlib.util.find_spec("onnxruntime") is None:
        return "onnxruntime is not installed"
    import onnxruntime

    usable = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return "" if usable else f"onnxruntime {onnxruntime.__version__} is the one for CPUs"


def _driver() -> str:
    if not has_cuda_driver():
        return "no NVIDIA driver"
    try:
        version = re.search(r"\b(\d+(?:\.\d+)+)\b", _DRIVER.read_text())
    except OSError:
        version = None
    return f"driver {version.group(1)}" if version else "driver of unknown version"


def onnx_runtime(settings: Settings) -> Iterator[Finding]:
    """Say where ONNX Runtime could run a model."""
    if importlib.util.find_spec("onnxruntime") is None:
        found = "not installed; only .onnx models on CUDA need it"
    else:
        import onnxruntime

        found = ", ".join(onnxruntime.get_available_providers())
    yield Finding("onnxruntime", "good", found)


def codecs(settings: Settings) -> Iterator[Finding]:
    """Say whether the encoders are there, with that of a GPU."""
    import av

    missing = {"libx264", "aac"} - av.codecs_available
    if missing:
        remedy = install_command("--force-reinstall", "av")
        yield Finding("codecs", "problem", f"PyAV lacks {', '.join(sorted(missing))}", remedy)
        return
    from app.media.nvenc import encodes
    from app.media.quality import encoder_settings

    card = ", NVENC" if encodes(encoder_settings("standard", encoder="h264_nvenc")) else ""
    yield Finding("codecs", "good", f"libx264, aac{card}, PyAV {av.__version__}")


def memory(settings: Settings) -> Iterator[Finding]:
    """Compare the memory with what a worker takes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup v2, or no limit
        total = min(total, int(_CGROUP_MEMORY.read_text()))
    found = f"{total / 1e9:.1f} GB; a worker takes up to 1.5 GB"
    if total > _LITTLE_MEMORY:
        yield Finding("memory", "good", found)
    else:
        yield Finding("memory", "note", found, "2 GB or more; for a container: docker run --memory 2g")


def sandbox(settings: Settings) -> Iterator[Finding]:
    """Say whether the kernel has what decoders are locked up with."""
    walls = protection()
    if not walls.missing:
        yield Finding("sandbox", "good", "files by Landlock, system calls by seccomp")
        return
    remedy = "Linux 5.13 or newer; in a container: a seccomp profile that allows Landlock"
    yield Finding("sandbox", "note", f"the kernel lacks {walls.missing}", remedy)
