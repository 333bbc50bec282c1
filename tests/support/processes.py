"""What tests ask of processes that they did not start themselves."""

import os
from contextlib import suppress
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Return whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    children: list[str] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            children += path.read_text().split()
    return [pid, *(below for child in children for below in tree(int(child)))]
