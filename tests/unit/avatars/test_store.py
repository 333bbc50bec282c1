import errno
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest

from app.avatars import store as stores
from app.avatars.avatar import is_whole
from app.avatars.manifest import Manifest
from app.avatars.store import MANIFEST, AvatarStore
from app.errors import AvatarDamaged, AvatarExists, AvatarNotFound, StorageFull
from app.volume import meaning
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.oddities import ODDITIES, put_odd

DEADLINE: Final = 30.0
"""Seconds after which a test has failed."""


@pytest.fixture
def store(tmp_path: Path) -> AvatarStore:
    return AvatarStore(tmp_path / "avatars")


def test_an_empty_store_lists_nothing(store: AvatarStore) -> None:
    assert store.list() == []


def test_a_created_avatar_is_listed_and_found(store: AvatarStore) -> None:
    manifest = made_up_manifest()
    put_made_up(store, manifest)
    assert store.list() == [manifest]
    assert store.manifest("anna") == manifest


def test_an_error_while_creating_leaves_nothing(store: AvatarStore) -> None:
    with pytest.raises(ZeroDivisionError), store.create("anna") as folder:
        (folder / MANIFEST).write_text(str(1 / 0))
    assert list(store.root.iterdir()) == []


def test_a_taken_id_is_refused_at_once(store: AvatarStore) -> None:
    put_made_up(store, made_up_manifest())
    with pytest.raises(AvatarExists), store.create("anna"):
        pytest.fail("the folder was given out")


def test_of_two_that_create_the_same_id_the_second_to_finish_is_refused(store: AvatarStore) -> None:
    with pytest.raises(AvatarExists), store.create("anna"):
        put_made_up(store, made_up_manifest())
    assert store.manifest("anna") == made_up_manifest()
    assert [path.name for path in store.root.iterdir()] == ["anna"]


def test_a_deleted_avatar_is_gone_without_a_trace(store: AvatarStore) -> None:
    put_made_up(store, made_up_manifest())
    store.delete("anna")
    assert list(store.root.iterdir()) == []
    with pytest.raises(AvatarNotFound):
        store.delete("anna")


@pytest.mark.parametrize("name", ["../anna", "anna/..", ".", "", "Änna", ".new-anna"])
def test_a_name_that_is_no_id_is_not_found(store: AvatarStore, name: str) -> None:
    put_made_up(store, made_up_manifest())
    with pytest.raises(AvatarNotFound):
        store.path(name)


def test_a_damaged_manifest_is_said_so_and_left_out_of_the_list(store: AvatarStore) -> None:
    folder = put_made_up(store, made_up_manifest())
    (folder / MANIFEST).write_text("{")
    with pytest.raises(AvatarDamaged):
        store.manifest("anna")
    assert store.list() == []


def test_a_sweep_takes_what_a_killed_process_left(store: AvatarStore) -> None:
    script = (
        "import os, sys; from pathlib import Path; from app.avatars.store import AvatarStore\n"
        "with AvatarStore(Path(sys.argv[1])).create('anna'): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root)], check=False)
    assert len(list(store.root.iterdir())) == 1
    assert store.sweep() == 1
    assert list(store.root.iterdir()) == []


def test_a_sweep_leaves_what_is_being_made_and_what_is_made(store: AvatarStore) -> None:
    put_made_up(store, made_up_manifest("bert"))
    with store.create("anna") as folder:
        (folder / MANIFEST).write_text(made_up_manifest().to_json())
        assert store.sweep() == 0
    assert {manifest.id for manifest in store.list()} == {"anna", "bert"}


def test_no_descriptor_is_left_open(store: AvatarStore) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    put_made_up(store, made_up_manifest())
    store.sweep()
    store.delete("anna")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_avatar_that_cannot_be_read_now_is_not_said_to_be_damaged(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put_made_up(store, made_up_manifest())
    put_made_up(store, made_up_manifest("ben"))
    real = Manifest.read

    def read(path: Path) -> Manifest:
        if path.parent.name == "anna":
            raise OSError(number, os.strerror(number))
        return real(path)

    monkeypatch.setattr(Manifest, "read", read)
    for look in (store.manifest, partial(is_whole, store)):
        with pytest.raises(OSError, match=re.escape(os.strerror(number))) as failed:
            look("anna")
        meant = meaning(failed.value)
        assert meant is not None
        assert "delete" not in meant.detail
        assert (number == errno.EACCES) == ("may not read or write" in meant.detail)
    manifests, damaged = store.survey()
    assert [manifest.id for manifest in manifests] == ["ben"]
    assert damaged["anna"].detail.endswith("try again.")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_volume_that_cannot_be_asked_now_does_not_say_that_an_avatar_is_missing(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """From Python 3.14 on, pathlib's own ``is_dir`` and ``is_file`` answer False for every error."""
    put_made_up(store, made_up_manifest())

    def fail(path: Path, **more: bool) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "stat", fail)
    for name in ("is_dir", "is_file"):
        monkeypatch.setattr(Path, name, lambda path: False)
    looks = (*(partial(look, "anna") for look in (store.exists, store.path, store.manifest)), store.survey)
    for look in looks:
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            look()


def test_a_file_in_the_place_of_an_avatar_is_none(store: AvatarStore) -> None:
    folder = put_made_up(store, made_up_manifest())
    (folder.parent / "ben").touch()
    assert not store.exists("ben")
    assert not AvatarStore(folder.parent / "ben").exists("anna")
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    with pytest.raises(AvatarDamaged):
        store.path("anna")


@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_avatar_with_something_odd_in_the_place_of_its_manifest_is_damaged_and_can_be_deleted(
    store: AvatarStore, oddity: str
) -> None:
    put_odd(put_made_up(store, made_up_manifest()) / MANIFEST, oddity)
    put_made_up(store, made_up_manifest("ben"))
    manifests, damaged = store.survey()
    assert [manifest.id for manifest in manifests] == ["ben"]
    assert damaged["anna"].detail == "The avatar 'anna' has no manifest; delete it and create it again."
    assert store.frames_keys() == {made_up_manifest().frames_key}
    store.delete("anna")
    assert [path.name for path in store.root.iterdir()] == ["ben"]


def test_an_avatar_whose_folder_a_sweep_takes_before_it_is_locked_is_made_all_the_same(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir
    swept: list[int] = []

    def swept_at_once(folder: Path, *args: Any, **kwargs: Any) -> None:
        mkdir(folder, *args, **kwargs)
        if folder.name.startswith(".new-") and not swept:
            swept.append(store.sweep())

    monkeypatch.setattr(Path, "mkdir", swept_at_once)
    put_made_up(store, made_up_manifest())
    assert swept == [1]
    assert store.manifest("anna") == made_up_manifest()
    assert [path.name for path in store.root.iterdir()] == ["anna"]


def test_whoever_makes_an_avatar_is_alive_while_the_disk_takes_it(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = Event()
    monkeypatch.setattr(stores, "_SIGN_SECONDS", 0.01)
    monkeypatch.setattr(stores, "_sync", lambda path: alive.wait(DEADLINE))
    with store.create("anna", alive.set) as folder:
        (folder / MANIFEST).write_text(made_up_manifest().to_json())
    assert alive.is_set()


def test_a_disk_that_fails_while_it_takes_an_avatar_leaves_nothing_of_it(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stores, "_sync", fail)
    with pytest.raises(StorageFull), store.create("anna") as folder:
        (folder / MANIFEST).write_text(made_up_manifest().to_json())
    assert list(store.root.iterdir()) == []


def test_decoded_frames_that_go_while_they_are_counted_do_not_count(
    store: AvatarStore, tmp_path: Path
) -> None:
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "1.i420").write_bytes(bytes(5))
    (folder / "2.i420p10").write_bytes(bytes(6))
    (folder / "3.yuva").symlink_to("gone")
    put_odd(folder / "5.i420", "folder")
    put_odd(folder / "6.i420", "loop")
    (folder / ".4.part.i420").write_bytes(bytes(7))
    assert store.cache_bytes(folder) == 11
    assert store.cache_bytes() == 0
