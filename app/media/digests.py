"""What files hold, in a number."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

_FILES_KNOWN: Final = 1024


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; it is read once while the file stays as it is."""
    status = path.stat()
    return _known_sha256(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=_FILES_KNOWN)
def _known_sha256(path: Path, _inode: int, _size: int, _modified_ns: int) -> str:
    return sha256_of(path)
