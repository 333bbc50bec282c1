"""Small volumes that can be filled, and made read-only: file systems in memory, which root can mount."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def volume(path: Path, megabytes: int) -> Iterator[Path]:
    """Mount a volume of that size at ``path``; the test is skipped where that is not allowed."""
    path.mkdir(parents=True)
    if _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)):
        pytest.skip("mounting a volume is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def make_read_only(path: Path) -> None:
    """Let nobody write to a volume any more."""
    assert _mount("-o", "remount,ro", str(path)) == 0


def _mount(*arguments: str) -> int:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode
    except FileNotFoundError:
        return 1
