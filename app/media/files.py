"""Files that are either complete or absent: how the project writes them."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.volume import check_room


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path``: renamed to it at the end, removed if the block fails.

    One that need not be ``durable`` may be damaged if the power fails, so that nobody waits for the disk.
    Of several that write one file at a time each finishes; whoever has ``path`` open goes on reading what it
    opened. Raises ``StorageFull`` at the beginning if the volume has nothing left but what always stays free.
    """
    with temporary_beside(path) as temporary:
        yield temporary
        if durable:
            move(temporary, path)
        else:
            temporary.replace(path)


@contextmanager
def temporary_beside(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Give a new file with a name of its own beside ``path``, and its suffix; it is gone afterwards."""
    check_room(path.parent)
    temporary, descriptor = _new_file(path, mode)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _new_file(path: Path, mode: int) -> tuple[Path, int]:
    """Make a file beside ``path``; return its path and a descriptor that holds the lock on it."""
    while True:
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, mode)
        with suppress(OSError):  # a volume that knows no locks: then nobody sweeps either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, descriptor
        os.close(descriptor)  # swept before the lock was held


def move(source: Path, target: Path) -> None:
    """Rename a finished file within its volume once its bytes are on the disk; what was there is replaced."""
    descriptor = os.open(source, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    source.replace(target)


def sweep(folder: Path, of: Path = Path("*")) -> int:
    """Remove the temporary files of writers that are no more from a folder; return how many.

    Where others have files of theirs, only those ``of`` a name.
    """
    return sum(_is_removed(path) for path in folder.glob(f".{of.stem}.*.part{of.suffix or '*'}"))


def _is_removed(temporary: Path) -> bool:
    """Remove a temporary file unless its writer, on whichever machine, still holds the lock on it."""
    try:
        descriptor = os.open(temporary, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
