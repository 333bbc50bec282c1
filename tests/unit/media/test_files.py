import fcntl
import os
import re
from pathlib import Path

import pytest

from app.media.files import replacing, sweep

ROOT = Path(__file__).parents[3]
RENAMES = re.compile(
    r"""\bos\.(rename|replace|link)\(|shutil\.move\(|\.rename\(|\.hardlink_to\(|\w\.replace\([^,"'=]*\)"""
)
FOLDERS = {"app/avatars/store.py"}
"""Renames folders, which have a way of their own."""


def test_a_file_appears_whole_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "result.mp4"

    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.mp4"
    path.write_bytes(b"old")

    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.with_name("missing").rename(temporary)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_must_outlive_a_power_failure_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "a.score", list[int]()
    monkeypatch.setattr(os, "fsync", synced.append)

    with replacing(path, durable=False) as temporary:
        temporary.write_bytes(b"made again")
    assert (path.read_bytes(), synced) == (b"made again", [])

    with replacing(path) as temporary:
        temporary.write_bytes(b"kept")
    assert (path.read_bytes(), len(synced)) == (b"kept", 1)


def test_of_two_writers_at_a_time_each_finishes(tmp_path: Path) -> None:
    path = tmp_path / "faces.npy"

    with replacing(path) as first, replacing(path) as second:
        first.write_bytes(b"the same")
        second.write_bytes(b"the same")

    assert path.read_bytes() == b"the same"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept_and_a_living_one_s_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "faces.npy"
    (tmp_path / ".faces.00c0ffee.part.npy").write_bytes(b"half")

    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")
        assert sweep(tmp_path) == 1

    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_swept_before_its_writer_holds_the_lock_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock, swept = tmp_path / "faces.npy", fcntl.flock, list[int]()

    def sweep_first(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        swept.append(sweep(tmp_path))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")

    assert swept == [1]
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_else_in_the_project_renames_a_file() -> None:
    renaming = {
        f"{source.relative_to(ROOT)}:{number}"
        for room in ("app", "training", "benchmarks")
        for source in (ROOT / room).rglob("*.py")
        if source.name != "files.py" and str(source.relative_to(ROOT)) not in FOLDERS
        for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1)
        if RENAMES.search(line)
    }
    assert renaming == set()
