import resource
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from app.avatars.arrays import copy_hashed
from app.media.digests import sha256_of

SIZE = 3 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_is_what_was_copied(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert copy_hashed(source, target, Event()) == sha256_of(source) == sha256_of(target)


def test_a_copy_of_which_the_disk_takes_a_part_fails(source: Path, tmp_path: Path) -> None:
    with files_of_at_most(SIZE - (1 << 19)), pytest.raises(OSError, match="File too large"):
        copy_hashed(source, tmp_path / "target", Event())


def test_a_copy_that_nobody_wants_any_more_ends(source: Path, tmp_path: Path) -> None:
    stopped = Event()
    stopped.set()
    with pytest.raises(CancelledError):
        copy_hashed(source, tmp_path / "target", stopped)
    assert (tmp_path / "target").stat().st_size < SIZE
