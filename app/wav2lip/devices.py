"""Compute devices: their names, the cores, and what is there."""

import ctypes
import math
import os
import re
import sys
from pathlib import Path

from app.errors import EngineUnavailable

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""A container's share of the CPUs: microseconds of a period of microseconds, or ``max`` (cgroup v2)."""


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use, by its affinity and its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = map(int, _CGROUP_QUOTA.read_text().split())
    except (OSError, ValueError):  # no cgroup v2, or no quota
        return cores
    return max(1, min(cores, math.ceil(quota / period)))


def check_device(device: str) -> None:
    """Raise EngineUnavailable unless ``device`` is auto, cpu, cuda or cuda:N."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise EngineUnavailable(f"The device must be auto, cpu, cuda or cuda:N, not {device!r}.")


def has_cuda_driver() -> bool:
    """Whether NVIDIA's driver is installed: asked first, as importing torch takes a second and 0.2 GB."""
    return _loads("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def cuda_devices() -> int:
    """Return how many CUDA devices this process may use; asks the driver, and needs no package."""
    if not has_cuda_driver():
        return 0
    driver, count = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"), ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def has_tensorrt() -> bool:
    """Whether TensorRT 10 is installed: ONNX Runtime offers it even where NVIDIA's library is missing."""
    return _loads("nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def cuda_index(device: str) -> int:
    """Return the N of ``cuda:N``; 0 for ``cuda``."""
    _, _, index = device.partition(":")
    return int(index or 0)
