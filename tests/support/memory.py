"""How much memory this process took. ``getrusage`` also counts what the process that started it had taken."""

from pathlib import Path


def peak_mib() -> int:
    """Return the largest resident size of this process since its start or :func:`reset_peak`, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) >> 10


def reset_peak() -> None:
    """Have :func:`peak_mib` count from now on (proc_pid_clear_refs(5))."""
    Path("/proc/self/clear_refs").write_text("5")
