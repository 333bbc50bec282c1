"""Files that are either there, whole, or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.volume import check_room


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``: renamed to it at the end, removed if the block fails.

    Raises ``StorageFull`` at the beginning if the volume has no room left but what is always left free.
    """
    check_room(path.parent)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
