"""Memory of a process: a limit that the kernel enforces, and what is given back to it."""

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


def cap_memory(headroom: int) -> bool:
    """Let this process take ``headroom`` bytes more than it has now, and never more; say whether that holds.

    Call it when the model is loaded and warm. What asks for more is refused: FFmpeg and numpy report that
    (``MemoryError``), and a library that cannot ends the process, which costs the job and not the service.
    Counted is private writable memory (``RLIMIT_DATA``, Linux 4.7 and newer): mapped files are not.
    """
    held = _data_bytes()
    if held is None:
        return False
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = held + headroom
    if most != resource.RLIM_INFINITY:
        ceiling = min(ceiling, most)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    return True


@contextmanager
def sparing(headroom: int) -> Iterator[None]:
    """Let this process take ``headroom`` bytes more at most while the block lasts, if it is capped at all."""
    held = _data_bytes()
    before, ceiling = resource.getrlimit(resource.RLIMIT_DATA)
    if held is None or ceiling == resource.RLIM_INFINITY:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (min(before, held + headroom), ceiling))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, ceiling))


def give_back_memory() -> None:
    """Give back to the system what this process has freed, where the C library keeps it (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _data_bytes() -> int | None:
    """Return the bytes of private writable memory of this process; None where /proc does not say."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), None)
