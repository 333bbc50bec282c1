"""What a process and its children have used, from Linux's /proc."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _CHILD_SYSTEM_TICKS = 11, 14
"""Places of utime .. cstime after the command's name in /proc/<pid>/stat (proc_pid_stat(5))."""


def descendants(pid: int) -> list[int]:
    """Return ``pid`` and all that descends from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its descendants, those that have ended included."""
    return sum(map(_own_cpu_seconds, descendants(pid)))


def _own_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_USER_TICKS : _CHILD_SYSTEM_TICKS + 1])) / _TICKS


def peak_megabytes(pid: int) -> dict[str, float]:
    """Return the largest resident size of each process since its start or :func:`reset_peaks`, by its name.

    The name is that of its module or program.
    """
    return {_label(process): round(peak_of(process)) for process in descendants(pid)}


def reset_peaks(pid: int) -> None:
    """Have :func:`peak_megabytes` tell the largest size from now on (proc_pid_clear_refs(5))."""
    for process in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            Path(f"/proc/{process}/clear_refs").write_text("5")


def peak_of(pid: int) -> float:
    """Return the largest resident size of a process since its start or :func:`reset_peaks`, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _label(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name
