"""What ``mouthpiece doctor`` looks at: the machine, the packages, the model, the volumes."""

import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from app.avatars.store import AvatarStore
from app.errors import MouthpieceError
from app.settings import Settings
from app.wav2lip.devices import usable_cores

Level = Literal["good", "note", "problem"]

_MARKS: Final[dict[Level, str]] = {
    "good": "[green]ok[/]",
    "note": "[yellow]note[/]",
    "problem": "[red]problem[/]",
}
_SMALLER: Final = {
    "avatars": "a larger volume, or a smaller MOUTHPIECE_FRAME_CACHE_BYTES",
    "data": "a larger volume, or a smaller MOUTHPIECE_MAX_UPLOAD_BYTES or MOUTHPIECE_JOB_TTL",
}
_LITTLE_MEMORY: Final = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    found: str
    remedy: str = ""

    @property
    def mark(self) -> str:
        """The level as a coloured word."""
        return _MARKS[self.level]

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything. No finding raises: what breaks becomes a problem with its sentence."""
    looks: list[Callable[[Settings], Iterator[Finding]]] = [
        _python,
        _processor,
        _cuda,
        _codecs,
        _model,
        _volumes,
        _memory,
        _port,
    ]
    return [finding for look in looks for finding in look(settings)]


def _python(settings: Settings) -> Iterator[Finding]:
    yield Finding(
        "python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def _processor(settings: Settings) -> Iterator[Finding]:
    import openvino

    core = openvino.Core()
    name = core.get_property("CPU", "FULL_DEVICE_NAME")
    cores = usable_cores()
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        yield Finding("processor", "good", f"{name}, {cores} cores, computes in bf16")
    else:
        yield Finding(
            "processor",
            "note",
            f"{name}, {cores} cores, no bf16: the model runs in fp32, at about half the speed",
            "a processor with AVX-512 bf16 or AMX, or a GPU",
        )


def _cuda(settings: Settings) -> Iterator[Finding]:
    wanted = settings.device.startswith("cuda")
    if importlib.util.find_spec("torch") is None:
        remedy = f"{sys.executable} -m pip install torch onnxruntime-gpu"
        yield Finding(
            "cuda", "problem" if wanted else "note", "torch is not installed: the CPU is used", remedy
        )
    else:
        import torch

        if torch.cuda.is_available():
            yield Finding("cuda", "good", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
        else:
            yield Finding(
                "cuda",
                "problem" if wanted else "note",
                "no CUDA device: the CPU is used",
                "an NVIDIA driver, and in a container --gpus all",
            )
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        yield Finding("onnxruntime", "good", ", ".join(onnxruntime.get_available_providers()))


def _codecs(settings: Settings) -> Iterator[Finding]:
    import av

    missing = {"libx264", "aac"} - av.codecs_available
    if missing:
        remedy = f"{sys.executable} -m pip install --force-reinstall av"
        yield Finding("codecs", "problem", f"PyAV lacks {', '.join(sorted(missing))}", remedy)
        return
    from app.media.nvenc import encodes
    from app.media.quality import encoder_settings

    card = ", NVENC" if encodes(encoder_settings("standard", encoder="h264_nvenc")) else ""
    yield Finding("codecs", "good", f"libx264, aac{card}, PyAV {av.__version__}")


def _model(settings: Settings) -> Iterator[Finding]:
    from app.wav2lip.infer import Wav2LipInfer

    try:
        info = Wav2LipInfer(
            settings.model_path, device=settings.device, cache_dir=settings.data_dir / "cache"
        ).info
    except MouthpieceError as error:
        yield Finding("model", "problem", error.detail, "set MOUTHPIECE_MODEL to a .pth or .onnx file")
        return
    rights = "" if info.commercial_use else "; not for commercial use"
    yield Finding(
        "model",
        "good",
        f"{info.name} ({settings.model_path}), sha256 {info.sha256[:12]}, runs on {info.device} by "
        f"{info.engine} in {info.dtype}; licence: {info.licence}{rights}",
    )


def _volumes(settings: Settings) -> Iterator[Finding]:
    for subject, folder in (("avatars", settings.avatars_dir), ("data", settings.data_dir)):
        existing = _nearest_existing(folder)
        if not os.access(existing, os.W_OK):
            remedy = f"chown the folder to uid {os.getuid()}, or set MOUTHPIECE_{subject.upper()}_DIR"
            yield Finding(subject, "problem", f"{folder} cannot be written to", remedy)
            continue
        free, needed = shutil.disk_usage(existing).free, _appetite(settings, subject)
        level: Level = "good" if free > needed else "note"
        remedy = "" if level == "good" else _SMALLER[subject]
        found = f"{folder}, {free / 1e9:.1f} GB free, up to {needed / 1e9:.1f} GB more wanted"
        yield Finding(subject, level, found, remedy)


def _appetite(settings: Settings, subject: str) -> int:
    """Return how many bytes more a volume may come to hold: the frame cache, or an upload and its result."""
    if subject == "avatars":
        return max(0, settings.frame_cache_bytes - AvatarStore(settings.avatars_dir).cache_bytes())
    return 2 * settings.max_upload_bytes


def _memory(settings: Settings) -> Iterator[Finding]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    level: Level = "good" if total > _LITTLE_MEMORY else "note"
    remedy = "" if level == "good" else "2 GB or more: the render process takes up to 1.5 GB"
    yield Finding("memory", level, f"{total / 1e9:.1f} GB", remedy)


def _port(settings: Settings) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            remedy = "stop what listens there, or set MOUTHPIECE_PORT"
            yield Finding("port", "problem", f"{settings.host}:{settings.port}: {error.strerror}", remedy)
        else:
            yield Finding("port", "good", f"{settings.host}:{settings.port} is free")


def _nearest_existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
