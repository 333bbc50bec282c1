"""What ``mouthpiece doctor`` checks: the machine, the packages, the model, the volumes."""

import http.client
import importlib.util
import os
import platform
import re
import shlex
import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from app.avatars.store import AvatarStore
from app.errors import MouthpieceError
from app.sandbox import protection
from app.settings import DEFAULT_MODEL, Settings
from app.wav2lip.devices import has_cuda_driver, usable_cores
from app.workers.join import check_token

Level = Literal["good", "note", "problem"]

_MARKS: Final[dict[Level, str]] = {
    "good": "[green]ok     [/]",
    "note": "[yellow]note   [/]",
    "problem": "[red]problem[/]",
}
_LITTLE_MEMORY: Final = 2 << 30
_CGROUP_MEMORY: Final = Path("/sys/fs/cgroup/memory.max")
"""What a container may use: bytes, or ``max`` (cgroup v2)."""
_DRIVER: Final = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    level: Level
    found: str
    remedy: str = ""
    """How to fix it: a command, where there is one."""

    @property
    def mark(self) -> str:
        """The level as a coloured word of fixed width."""
        return _MARKS[self.level]

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Run all checks. None raises: an error becomes a finding with its message."""
    looks: list[Callable[[Settings], Iterator[Finding]]] = [
        _python,
        _processor,
        _cuda,
        _onnxruntime,
        _codecs,
        _model,
        _volumes,
        _memory,
        _sandbox,
        _port,
        _cluster,
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
        found = f"{name}, {cores} cores, supports bf16: the model runs twice as fast as in fp32"
        yield Finding("processor", "good", found)
    else:
        yield Finding(
            "processor",
            "note",
            f"{name}, {cores} cores, no bf16: the model runs in fp32 and takes twice as long",
            "a processor with AVX-512 bf16 or AMX, or a GPU",
        )


def _cuda(settings: Settings) -> Iterator[Finding]:
    wanted = settings.device.startswith("cuda")
    level: Level = "problem" if wanted else "note"
    instead = "MOUTHPIECE_DEVICE asks for CUDA" if wanted else "the CPU is used"
    if importlib.util.find_spec("torch") is None:
        remedy = f"{sys.executable} -m pip install torch onnxruntime-gpu"
        yield Finding("cuda", level, f"torch is not installed; {_driver()}: {instead}", remedy)
        return
    import torch

    if torch.cuda.is_available():
        found = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, {_driver()}"
        yield Finding("cuda", "good", found)
    else:
        remedy = "an NVIDIA driver (nvidia-smi shows it), and in a container: docker run --gpus all"
        yield Finding("cuda", level, f"torch finds no CUDA device; {_driver()}: {instead}", remedy)


def _driver() -> str:
    if not has_cuda_driver():
        return "no NVIDIA driver"
    try:
        version = re.search(r"\b(\d+(?:\.\d+)+)\b", _DRIVER.read_text())
    except OSError:
        version = None
    return f"driver {version.group(1)}" if version else "driver of unknown version"


def _onnxruntime(settings: Settings) -> Iterator[Finding]:
    if importlib.util.find_spec("onnxruntime") is None:
        found = "not installed; only .onnx models on CUDA need it"
    else:
        import onnxruntime

        found = ", ".join(onnxruntime.get_available_providers())
    yield Finding("onnxruntime", "good", found)


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
    from app.mouths.model import open_model

    try:
        info = open_model(
            settings.model_path, device=settings.first_device, cache_dir=settings.data_dir / "cache"
        ).info
    except MouthpieceError as error:
        if settings.model:
            remedy = "unset MOUTHPIECE_MODEL to use the bundled model, or name another .pth or .onnx file"
        else:
            remedy = f"MOUTHPIECE_MODELS_DIR=the folder that holds {DEFAULT_MODEL}"
        yield Finding("model", "problem", error.detail, remedy)
        return
    rights = "" if info.commercial_use else "; not for commercial use"
    yield Finding(
        "model",
        "good",
        f"{info.name} ({settings.model_path}), sha256 {info.sha256}, runs on {info.device} with "
        f"{info.engine} in {info.dtype}; licence: {info.licence}{rights}",
    )


def _volumes(settings: Settings) -> Iterator[Finding]:
    for subject, folder in (("avatars", settings.avatars_dir), ("data", settings.data_dir)):
        existing = _nearest_existing(folder)
        if not os.access(existing, os.W_OK):
            remedy = f"sudo chown -R {os.getuid()}:{os.getgid()} {shlex.quote(str(existing))}"
            yield Finding(subject, "problem", f"{folder} is not writable", remedy)
            continue
        free, needed = shutil.disk_usage(existing).free, _appetite(settings, subject)
        found = f"{folder}, {free / 1e9:.1f} GB free, may need up to {needed / 1e9:.1f} GB more"
        if free > needed:
            yield Finding(subject, "good", found)
        else:
            yield Finding(subject, "note", found, f"a larger volume, or {_smaller(subject, free)}")


def _smaller(subject: str, free: int) -> str:
    """Return the setting for which this much space is enough."""
    if subject == "avatars":
        return f"MOUTHPIECE_FRAME_CACHE_BYTES={free * 3 // 4}"
    return f"MOUTHPIECE_MAX_UPLOAD_BYTES={free // 3}"


def _appetite(settings: Settings, subject: str) -> int:
    """Return how many more bytes a volume may need: the frame cache, or an upload and its result."""
    if subject == "avatars":
        return max(0, settings.frame_cache_bytes - AvatarStore(settings.avatars_dir).cache_bytes())
    return 2 * settings.max_upload_bytes


def _memory(settings: Settings) -> Iterator[Finding]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup v2, or no limit
        total = min(total, int(_CGROUP_MEMORY.read_text()))
    found = f"{total / 1e9:.1f} GB; a worker takes up to 1.5 GB"
    if total > _LITTLE_MEMORY:
        yield Finding("memory", "good", found)
    else:
        yield Finding("memory", "note", found, "2 GB or more; for a container: docker run --memory 2g")


def _sandbox(settings: Settings) -> Iterator[Finding]:
    walls = protection()
    if not walls.missing:
        yield Finding("sandbox", "good", "files by Landlock, system calls by seccomp")
        return
    remedy = "Linux 5.13 or newer; in a container: a seccomp profile that allows Landlock"
    yield Finding("sandbox", "note", f"the kernel lacks {walls.missing}", remedy)


def _port(settings: Settings) -> Iterator[Finding]:
    place = f"{settings.host}:{settings.port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            failure = error.strerror
        else:
            yield Finding("port", "good", f"{place} is free")
            return
    if _answers(settings):
        yield Finding("port", "good", f"{place}: Mouthpiece is running there")
    else:
        remedy = f"ss -ltnp 'sport = :{settings.port}' shows what to stop; or set MOUTHPIECE_PORT"
        yield Finding("port", "problem", f"{place}: {failure}", remedy)


def _cluster(settings: Settings) -> Iterator[Finding]:
    if settings.ray_address is None:
        return
    if importlib.util.find_spec("ray") is None:
        remedy = f"{sys.executable} -m pip install 'mouthpiece[cluster]'"
        yield Finding("cluster", "problem", "MOUTHPIECE_RAY_ADDRESS is set, but Ray is not installed", remedy)
        return
    try:
        check_token()
    except MouthpieceError as error:
        yield Finding("cluster", "problem", error.detail, "export RAY_AUTH_TOKEN=$(openssl rand -hex 32)")
        return
    host, _, port = settings.ray_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
    except OSError as error:
        found = f"no head responds at {settings.ray_address} ({error})"
        yield Finding("cluster", "problem", found, "run mouthpiece head on the machine with that address")
    else:
        yield Finding("cluster", "good", f"the head responds at {settings.ray_address}, and a token is set")


def _answers(settings: Settings) -> bool:
    """Whether Mouthpiece itself listens on the port: the doctor may run beside it, as in its container."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{settings.host}:{settings.port}/livez", timeout=2) as answer:
            return bool(answer.read() == b"ok\n")
    except (OSError, http.client.HTTPException):
        return False


def _nearest_existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
