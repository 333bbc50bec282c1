import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.avatars import frame_cache
from app.avatars.frame_cache import Decode, FrameCache
from app.avatars.manifest import Manifest, Source
from app.avatars.store import FRAMES, MANIFEST, AvatarStore
from app.errors import AvatarDamaged
from app.media.frame_file import FrameReader, write_frames
from app.media.frames import I420Frame
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.oddities import ODDITIES, put_odd


@pytest.fixture
def store(tmp_path: Path) -> AvatarStore:
    return AvatarStore(tmp_path / "avatars")


def numbered(count: int) -> Decode:
    frames = [[np.full(12, index, np.uint8)] for index in range(count)]

    def decode(path: Path, most_bytes: int) -> Iterator[I420Frame]:
        return (frame for (frame,) in write_frames(frames, path, most_bytes))

    return decode


def unread(file: Path, most_bytes: int) -> list[I420Frame]:
    pytest.fail("decoded again")


def add(store: AvatarStore, avatar_id: str) -> Manifest:
    manifest = made_up_manifest(avatar_id)
    put_made_up(store, manifest)
    return manifest


def test_frames_are_decoded_once_and_read_by_number(store: AvatarStore) -> None:
    manifest, cache = add(store, "anna"), FrameCache(store, 1000)
    cache.open(manifest, numbered(3)).close()
    frame = np.empty(12, np.uint8)
    with cache.open(manifest, unread) as frames:
        frames.read_into(2, frame)
    assert frame.tolist() == [2] * 12


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("oddity", ODDITIES)
def test_frames_take_the_place_of_whatever_is_in_it(
    store: AvatarStore, tmp_path: Path, oddity: str, apart: bool
) -> None:
    manifest, folder = add(store, "anna"), tmp_path / "local"
    folder.mkdir()
    cache = FrameCache(store, 1000, folder if apart else None)
    path = folder / f"{manifest.frames_key}.i420" if apart else store.path("anna") / FRAMES
    put_odd(path, oddity)
    if apart:
        put_odd(folder / "unwanted.i420", oddity)
    cache.open(manifest, numbered(3)).close()
    with cache.open(manifest, unread):
        assert path.stat().st_size == 36


def test_frames_of_a_new_avatar_take_the_place_of_a_folder(store: AvatarStore, tmp_path: Path) -> None:
    manifest, cache = add(store, "anna"), FrameCache(store, 1000, tmp_path / "local")
    with cache.adding(36, store.path("anna")) as path:
        path.write_bytes(bytes(36))
        put_odd(tmp_path / "local" / f"{manifest.frames_key}.i420", "folder")
        cache.keep(path, manifest)
    cache.open(manifest, unread).close()


def test_parts_of_a_frame_are_read_alone(store: AvatarStore) -> None:
    manifest, cache = add(store, "anna"), FrameCache(store, 1000)
    frame = np.zeros(12, np.uint8)
    with cache.open(manifest, numbered(3)) as frames:
        frames.read_into(2, frame, [slice(2, 4), slice(11, 12)])
    assert frame.tolist() == [0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 2]


@pytest.mark.parametrize("count", [2, 4])
def test_a_source_that_gives_another_number_of_frames_is_damaged(store: AvatarStore, count: int) -> None:
    with pytest.raises(AvatarDamaged, match=f"decodes to {count} frames, not 3"):
        FrameCache(store, 1000).open(add(store, "anna"), numbered(count))
    assert not list(store.path("anna").glob(f"{FRAMES}*"))


def test_a_frame_beyond_the_file_is_an_error_not_garbage(store: AvatarStore) -> None:
    with (
        FrameCache(store, 1000).open(add(store, "anna"), numbered(3)) as frames,
        pytest.raises(AvatarDamaged),
    ):
        frames.read_into(3, np.empty(12, np.uint8))


def test_frames_can_lie_in_a_folder_of_this_machine_and_go_with_their_avatar(
    store: AvatarStore, tmp_path: Path
) -> None:
    manifest, folder = add(store, "anna"), tmp_path / "local"
    cache = FrameCache(store, 1000, folder)
    cache.open(manifest, numbered(3)).close()
    cache.open(manifest, unread).close()
    assert [path.name for path in folder.iterdir()] == [f"{manifest.source.sha256}.i420"]
    assert not (store.path("anna") / FRAMES).exists()
    store.delete("anna")
    another_is_made(store, cache)
    assert not list(folder.iterdir())


def test_frames_of_an_avatar_that_is_made_are_kept_or_gone(store: AvatarStore, tmp_path: Path) -> None:
    manifest, folder = add(store, "anna"), tmp_path / "local"
    cache = FrameCache(store, 1000, folder)
    with cache.adding(36, tmp_path / ".new-anna-1") as path:
        path.write_bytes(b"half")
    assert not list(folder.iterdir())
    with cache.adding(36, tmp_path / ".new-anna-2") as path:
        path.write_bytes(bytes(36))
        cache.keep(path, manifest)
    cache.open(manifest, unread).close()


@pytest.mark.parametrize("local", [False, True])
def test_frames_that_are_more_than_was_expected_leave_the_budget_as_it_is(
    store: AvatarStore, tmp_path: Path, local: bool
) -> None:
    manifest, folder = add(store, "anna"), tmp_path / "local"
    other = replace(made_up_manifest("ben"), source=Source("12" * 32, "ben.mp4"))
    put_made_up(store, other)
    cache = FrameCache(store, 80, folder if local else None)
    cache.open(other, numbered(3)).close()
    making = tmp_path / ".new-anna-1"
    making.mkdir()
    with cache.adding(12, making) as path:
        path.write_bytes(bytes(72))
        cache.keep(path, manifest)
    files = [*store.root.glob(f"*/{FRAMES}"), *folder.glob("*"), *making.glob(FRAMES)]
    assert [path.stat().st_size for path in files] == [72]


def test_the_least_recently_used_cache_goes_when_the_budget_is_full(store: AvatarStore) -> None:
    cache = FrameCache(store, 80)  # two of three avatars of 36 bytes
    for age, name in ((300, "old"), (200, "young")):
        cache.open(add(store, name), numbered(3)).close()
        then = (store.path(name) / FRAMES).stat().st_mtime - age
        os.utime(store.path(name) / FRAMES, (then, then))
    cache.open(add(store, "new"), numbered(3)).close()
    assert {path.parent.name for path in store.root.glob(f"*/{FRAMES}")} == {"young", "new"}


@pytest.fixture
def local(store: AvatarStore, tmp_path: Path) -> FrameCache:
    """A cache in a folder of its own, with the frames of Anna."""
    cache = FrameCache(store, 1000, tmp_path / "local")
    cache.open(add(store, "anna"), numbered(3)).close()
    return cache


def another_is_made(store: AvatarStore, cache: FrameCache) -> None:
    """Make and give up an avatar, for which room was made."""
    with cache.adding(36, store.root / ".new-ben-1"):
        pass


def test_nobody_waits_until_frames_that_can_be_made_again_are_on_the_disk(
    store: AvatarStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, cache = add(store, "anna"), FrameCache(store, 1000, tmp_path / "local")
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("waited"))
    cache.open(manifest, numbered(3)).close()
    with cache.adding(36, tmp_path / ".new-anna-2") as path:
        path.write_bytes(bytes(36))
        cache.keep(path, manifest)
    cache.open(manifest, unread).close()


def test_frames_of_an_avatar_that_is_nearly_made_are_wanted(store: AvatarStore, local: FrameCache) -> None:
    manifest = replace(made_up_manifest("ben"), source=Source("12" * 32, "ben.mp4"))
    with store.create("ben") as folder, local.adding(36, folder) as path:
        path.write_bytes(bytes(36))
        (folder / MANIFEST).write_text(manifest.to_json())
        local.keep(path, manifest)
        another_is_made(store, local)
    local.open(manifest, unread).close()


@pytest.mark.parametrize("what", ["avatar", "volume"])
def test_a_volume_that_fails_does_not_empty_the_folder_of_frames(
    store: AvatarStore, local: FrameCache, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(path: Path) -> Manifest:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    away = store.root.with_name("away")
    with monkeypatch.context() as failing:
        if what == "avatar":
            failing.setattr(Manifest, "read", fail)
        else:
            store.root.rename(away)
        another_is_made(store, local)
    if what == "volume":
        away.rename(store.root)
    local.open(store.manifest("anna"), unread).close()


@pytest.mark.parametrize("own_folder", [False, True])
def test_frames_that_another_worker_drops_before_they_are_open_are_decoded_again(
    store: AvatarStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folder: bool
) -> None:
    manifest = add(store, "anna")
    cache = FrameCache(store, 1000, tmp_path / "local" if own_folder else None)
    cache.open(manifest, numbered(3)).close()
    dropped: list[Path] = []

    def open_too_late(path: Path, frame_bytes: int) -> FrameReader:
        if not dropped:
            dropped.append(path)
            path.unlink()
        return FrameReader(path, frame_bytes)

    monkeypatch.setattr(frame_cache, "FrameReader", open_too_late)
    frame = np.empty(12, np.uint8)
    with cache.open(manifest, numbered(3)) as frames:
        frames.read_into(2, frame)
    assert frame.tolist() == [2] * 12


def test_frames_of_a_volume_that_is_only_read_are_swept_when_their_worker_died(
    store: AvatarStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, cache, temporary = add(store, "anna"), FrameCache(store, 1000), tmp_path / "tmp"
    temporary.mkdir()
    others = temporary / ".download.part"
    others.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(frame_cache, "_takes_files", lambda folder: False)

    def die(path: Path, most_bytes: int) -> Iterator[I420Frame]:
        path.write_bytes(b"half")
        os._exit(0)

    def decode(path: Path, most_bytes: int) -> Iterable[I420Frame]:
        assert path.stat().st_mode & 0o777 == 0o600
        assert sorted(temporary.iterdir()) == sorted([others, path])
        with cache.open(manifest, numbered(3)):
            assert path.exists()  # it is not swept while it is written
        return numbered(3)(path, most_bytes)

    if not (pid := os.fork()):
        cache.open(manifest, die)
    os.waitpid(pid, 0)
    assert len(list(temporary.iterdir())) == 2
    cache.open(manifest, decode).close()
    assert list(temporary.iterdir()) == [others]
