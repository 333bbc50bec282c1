"""An avatar's study, read where the volume fails for a moment and where it is of an earlier version."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.avatars import store as stores
from app.avatars.avatar import is_whole, open_avatar
from app.avatars.crops import BOXES, CROPS, LANDMARKS, MASKS, CropForm
from app.avatars.frame_cache import FrameCache
from app.avatars.store import BACKDROP, FRAMES, MANIFEST, SOURCE, AvatarStore
from app.errors import AvatarDamaged, AvatarDeleted
from app.faces.face_mesh import POINTS
from app.media import digests
from app.media.digests import sha256_of
from app.media.treatment import PICTURE, Treatment
from app.mouths.study import STUDY
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.oddities import ODDITIES, put_odd


@pytest.fixture
def store(tmp_path: Path) -> AvatarStore:
    """A store of one avatar, three frames without a face, whose study is of version 2."""
    store, manifest = AvatarStore(tmp_path / "avatars"), made_up_manifest()
    folder = put_made_up(store, manifest)
    np.save(folder / BOXES, np.full((3, 4), -1, np.int32))
    np.save(folder / LANDMARKS, np.full((3, POINTS, 2), np.nan, np.float32))
    np.savez(folder / STUDY, version=np.int32(2), meshes=np.zeros((3, POINTS, 3), np.float32))
    (folder / FRAMES).write_bytes(bytes(3 * 4 * 2 * 3 // 2))
    (folder / SOURCE).write_bytes(b"source")
    checksums = {name: sha256_of(folder / name) for name in (BOXES, LANDMARKS)}
    source = replace(manifest.source, sha256=sha256_of(folder / SOURCE))
    (folder / MANIFEST).write_text(replace(manifest, checksums=checksums, source=source).to_json())
    return store


def opened(store: AvatarStore, avatar_id: str) -> None:
    open_avatar(store, FrameCache(store, 1 << 20), avatar_id, CropForm(96, "nearest")).close()


def test_an_avatar_is_whole_with_meshes_of_an_earlier_study_and_not_without_any(store: AvatarStore) -> None:
    assert is_whole(store, "anna")
    (store.path("anna") / STUDY).unlink()
    assert not is_whole(store, "anna")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("look", [is_whole, opened])
def test_a_study_that_cannot_be_read_now_is_neither_damaged_nor_made_again(
    store: AvatarStore,
    monkeypatch: pytest.MonkeyPatch,
    look: Callable[[AvatarStore, str], object],
    number: int,
) -> None:
    study = store.path("anna") / STUDY
    before, real = study.read_bytes(), Path.open

    def fail(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if path == study and mode == "rb":
            raise OSError(number, os.strerror(number))
        return real(path, mode, *rest, **more)

    with monkeypatch.context() as failing:
        failing.setattr(Path, "open", fail)
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            look(store, "anna")
    assert study.read_bytes() == before


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("name", [STUDY, CROPS, MASKS])
def test_what_is_made_again_takes_the_place_of_whatever_is_in_it(
    store: AvatarStore, name: str, oddity: str
) -> None:
    form, path = CropForm(64, "frame"), store.path("anna") / name
    np.savez(
        store.path("anna") / STUDY, version=np.int32(2), meshes=np.full((3, POINTS, 3), np.nan, np.float32)
    )
    put_odd(path, oddity)
    assert is_whole(store, "anna") == (name != STUDY)
    open_avatar(store, FrameCache(store, 1 << 20), "anna", form).close()
    assert path.is_file()
    assert not path.is_symlink()


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("name", [MANIFEST, BOXES, LANDMARKS, SOURCE, BACKDROP])
def test_an_avatar_with_something_odd_in_the_place_of_what_cannot_be_made_again_is_damaged(
    store: AvatarStore, name: str, oddity: str
) -> None:
    folder = store.path("anna")
    treatment = Treatment(background=PICTURE + "ab" * 32)
    manifest = replace(store.manifest("anna"), treatment=treatment)
    (folder / MANIFEST).write_text(manifest.to_json())
    (folder / BACKDROP).touch()
    (folder / FRAMES).unlink()
    put_odd(folder / name, oddity)
    with pytest.raises(AvatarDamaged, match=r"'anna'.*delete (it|the avatar) and create it again") as told:
        opened(store, "anna")
    assert "Errno" not in told.value.detail
    assert not is_whole(store, "anna")


def test_a_folder_that_cannot_be_deleted_is_named_with_its_avatar(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_odd(store.path("anna") / STUDY, "folder")

    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr(stores, "delete", busy)
    with pytest.raises(AvatarDamaged, match=r"mouths.npz of avatar 'anna' and cannot be deleted \(Device"):
        opened(store, "anna")


@pytest.mark.parametrize("form", [CropForm(96, "nearest"), CropForm(64, "frame")])
def test_an_avatar_that_is_replaced_while_it_is_opened_is_not_mixed_with_the_other(
    store: AvatarStore, form: CropForm
) -> None:
    folder, other = store.path("anna"), store.root / "other"
    np.savez(folder / STUDY, version=np.int32(2), meshes=np.full((3, POINTS, 3), np.nan, np.float32))
    shutil.copytree(folder, other)
    manifest = store.manifest("anna")
    later = replace(manifest, created_at=manifest.created_at + timedelta(seconds=1))
    (other / MANIFEST).write_text(later.to_json())
    before = {path.name: path.read_bytes() for path in other.iterdir()}

    def replace_it() -> None:
        if other.exists():
            folder.rename(store.root / ".old-anna")
            other.rename(folder)

    with pytest.raises(AvatarDeleted, match="another has its id"):
        open_avatar(store, FrameCache(store, 1 << 20), "anna", form, replace_it)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    open_avatar(store, FrameCache(store, 1 << 20), "anna", form).close()


def test_arrays_are_verified_once_while_they_stay_as_they_are(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.path("anna") / STUDY).unlink()
    verified: list[str] = []

    def noted(path: Path) -> str:
        verified.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(digests, "sha256_of", noted)
    for _ in range(2):
        opened(store, "anna")
    assert verified == [BOXES, LANDMARKS]

    np.save(store.path("anna") / LANDMARKS, np.zeros((3, POINTS, 2), np.float32))
    with pytest.raises(AvatarDamaged):
        opened(store, "anna")


@pytest.mark.parametrize("checksums", [{}, {BOXES: "00"}])
def test_an_avatar_whose_manifest_lacks_a_checksum_is_damaged(
    store: AvatarStore, checksums: dict[str, str]
) -> None:
    manifest = store.path("anna") / MANIFEST
    manifest.write_text(replace(store.manifest("anna"), checksums=checksums).to_json())
    with pytest.raises(AvatarDamaged, match="does not match its manifest"):
        opened(store, "anna")
    assert not is_whole(store, "anna")
