"""The avatars on the volume: created and deleted atomically, listed. Needs no numpy.

A folder whose name starts with a dot is not an avatar: ``.new-*`` is being made, ``.old-*`` is being
deleted. The process that makes one holds a lock on it, so that a sweep removes only the leftovers of a
crash.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from app.avatars.manifest import ID_PATTERN, Manifest
from app.avatars.options import IMPLICIT
from app.errors import AvatarDamaged, AvatarExists, AvatarNotFound
from app.media import files
from app.progress import Alive, nothing
from app.volume import delete, is_file, is_folder, status_of, storing

MANIFEST: Final = "avatar.json"
SOURCE: Final = "source.mp4"
BACKDROP: Final = "background"
"""The picture behind transparent footage, where one was sent."""
PREVIEW: Final = "preview.jpg"
FRAMES: Final = "frames.i420"
TRANSPARENT_FRAMES: Final = "frames.yuva"
DEEP_FRAMES: Final = "frames.i420p10"
"""The files that are caches: made from the source when they are missing; all but the first only if wanted."""
CACHES: Final = (FRAMES, TRANSPARENT_FRAMES, DEEP_FRAMES)

_UNFINISHED: Final = re.compile(r"\.new-.+")

_SIGN_SECONDS: Final = 1.0
"""Between two signs of life while the disk is waited for."""

Survey = tuple[list[Manifest], dict[str, AvatarDamaged]]
"""The avatars, oldest first, and what is wrong with those that cannot be read, by id."""


class AvatarStore:
    """All avatars below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, avatar_id: str) -> Path:
        """Return the folder of an avatar. Raises :class:`AvatarNotFound`, :class:`AvatarDamaged`."""
        folder = self._folder(avatar_id)
        if not is_file(folder / MANIFEST):
            raise AvatarDamaged(f"The avatar {avatar_id!r} has no manifest; delete it and create it again.")
        return folder

    def _folder(self, avatar_id: str) -> Path:
        if not self.exists(avatar_id):
            raise AvatarNotFound(f"There is no avatar {avatar_id[:80]!r}.")
        return self.root / avatar_id

    def exists(self, avatar_id: str) -> bool:
        """Return whether an avatar has this id."""
        return bool(ID_PATTERN.fullmatch(avatar_id)) and is_folder(self.root / avatar_id)

    def manifest(self, avatar_id: str) -> Manifest:
        """Return what is known of an avatar.

        Raises :class:`AvatarNotFound`, :class:`AvatarDamaged`, and ``OSError`` if it cannot be read now.
        """
        try:
            manifest = Manifest.read(self.path(avatar_id) / MANIFEST)
            if manifest.id != avatar_id:
                raise ValueError(f"it is of {manifest.id!r}")
            return manifest
        except FileNotFoundError:
            raise AvatarNotFound(f"There is no avatar {avatar_id[:80]!r}.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise AvatarDamaged(
                f"The manifest of avatar {avatar_id!r} cannot be read ({error}); delete the avatar and "
                "create it again."
            ) from error

    def list(self) -> list[Manifest]:
        """Return all avatars, oldest first; one that cannot be read is left out."""
        return self.survey()[0]

    def survey(self) -> Survey:
        """Return all avatars, and what is wrong with those that cannot be read."""
        manifests, damaged = [], {}
        for folder in sorted(self.root.iterdir()) if is_folder(self.root) else ():
            try:
                manifests.append(self.manifest(folder.name))
            except AvatarDamaged as error:
                damaged[folder.name] = error
            except OSError as error:
                damaged[folder.name] = AvatarDamaged(
                    f"The avatar {folder.name!r} cannot be read at the moment ({error.strerror}); try again."
                )
            except AvatarNotFound:
                continue
        return sorted(manifests, key=lambda manifest: (manifest.created_at, manifest.id)), damaged

    def use(self, avatar_id: str) -> None:
        """Note that an avatar is used now: an implicit one that is not, goes."""
        manifest = self._folder(avatar_id) / MANIFEST
        with (
            suppress(OSError),
            manifest.open("rb") as file,
        ):  # not on a volume that is only read: nothing goes
            os.utime(file.fileno())  # a locked process may change the times of open files alone

    def unused(self, since: datetime) -> Iterator[str]:
        """Yield the ids of the implicit avatars that were last used before ``since``."""
        for path in self.root.glob(f"{IMPLICIT}*/{MANIFEST}"):
            avatar_id = path.parent.name
            with suppress(OSError, AvatarNotFound, AvatarDamaged):
                if path.stat().st_mtime < since.timestamp() and self.manifest(avatar_id).implicit:
                    yield avatar_id

    def cache_files(self, folder: Path | None = None) -> Iterator[Path]:
        """Yield the files of decoded frames: beside the avatars, or in a ``folder`` of their own."""
        for name in CACHES:
            if folder is None:
                yield from self.root.glob(f"[!.]*/{name}")
            else:
                yield from folder.glob(f"[!.]*{Path(name).suffix}")

    def cache_bytes(self, folder: Path | None = None) -> int:
        """Return how many bytes :meth:`cache_files` take."""
        total = 0
        for path in self.cache_files(folder):
            found = status_of(path)  # none: dropped by a worker meanwhile
            total += found.st_size if found else 0
        return total

    def frames_keys(self) -> set[str]:
        """Return what the frames of all avatars are decoded from, also of those that are being made.

        What is damaged does not count. Raises ``OSError`` if the volume, or an avatar, cannot be read now.
        """
        making = set(self._keys(_UNFINISHED))  # first: one that is finished meanwhile is in either
        return making | set(self._keys(ID_PATTERN))

    def _keys(self, names: re.Pattern[str]) -> Iterator[str]:
        for folder in self.root.iterdir():
            with suppress(FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
                if names.fullmatch(folder.name) and is_file(folder / MANIFEST):
                    yield Manifest.read(folder / MANIFEST).frames_key

    @contextmanager
    def create(self, avatar_id: str, alive: Alive = nothing) -> Iterator[Path]:
        """Give an empty folder to fill; it becomes the avatar when the block ends without an error.

        ``alive`` is called while the disk is waited for. Raises :class:`AvatarExists` if the id is taken, at
        the beginning or by the end, and :class:`StorageFull` or :class:`StorageReadOnly` for a volume that
        takes no more. After an error, or a crash and a :meth:`sweep`, nothing is left.
        """
        self._refuse_taken(avatar_id)
        with storing(), self._filling(avatar_id, alive) as folder:
            yield folder

    @contextmanager
    def _filling(self, avatar_id: str, alive: Alive) -> Iterator[Path]:
        with self._new_folder(avatar_id) as folder:
            yield folder
            _sync_all([path for path in folder.iterdir() if path.name != FRAMES], alive)
            try:
                folder.rename(self.root / avatar_id)
            except OSError:
                self._refuse_taken(avatar_id)
                raise
            _sync(self.root)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder for what is only looked at: it is gone when the block ends."""
        with storing(), self._new_folder("check") as folder:
            yield folder

    @contextmanager
    def _new_folder(self, name: str) -> Iterator[Path]:
        self.root.mkdir(parents=True, exist_ok=True)
        while True:
            folder = self.root / f".new-{name}-{secrets.token_hex(4)}"
            folder.mkdir()
            lock = _lock(folder, wait=True)
            try:
                if not folder.exists():  # a sweep was faster
                    continue
                yield folder
                return
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                if lock is not None:
                    os.close(lock)

    def delete(self, avatar_id: str) -> None:
        """Remove an avatar, a damaged one too. Raises :class:`AvatarNotFound`, :class:`StorageReadOnly`.

        A render that has its files open goes on with them; their space is free when it closes them.
        """
        folder = self._folder(avatar_id)
        grave = self.root / f".old-{avatar_id}-{secrets.token_hex(4)}"
        try:
            with storing():
                folder.rename(grave)
        except FileNotFoundError:
            raise AvatarNotFound(f"There is no avatar {avatar_id[:80]!r}.") from None
        shutil.rmtree(grave, ignore_errors=True)

    def sweep(self) -> int:
        """Remove what crashes have left, and nobody still works on; return how many unfinished avatars."""
        if not is_folder(self.root):
            return 0
        swept = 0
        for folder in self.root.glob(".*-*"):
            if not folder.name.startswith((".new-", ".old-")):
                continue
            lock = _lock(folder)
            if lock is None:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            swept += 1
        for folder in self.root.glob("[!.]*/"):
            files.sweep(folder)
        return swept

    def _refuse_taken(self, avatar_id: str) -> None:
        if self.exists(avatar_id):
            raise AvatarExists(f"There is already an avatar {avatar_id!r}; delete it or choose another id.")


def own_file(folder: Path, name: str, avatar_id: str) -> Path:
    """Return the path of a file of an avatar that nothing can replace. Raises :class:`AvatarDamaged`."""
    if not is_file(folder / name):
        raise AvatarDamaged(
            f"{name} of avatar {avatar_id!r} is missing, or no file; delete the avatar and create it again."
        )
    return folder / name


def make_way(path: Path, avatar_id: str) -> None:
    """Delete a folder where a file of an avatar is about to be put; all else is replaced as it is put there.

    Raises :class:`AvatarDamaged` if the folder cannot be deleted.
    """
    if not is_folder(path) or path.is_symlink():
        return
    try:
        delete(path)
    except OSError as error:
        raise AvatarDamaged(
            f"A folder is in the place of {path.name} of avatar {avatar_id!r} and cannot be deleted "
            f"({error.strerror}); delete it, or the avatar, and try again."
        ) from error


def _lock(folder: Path, *, wait: bool = False) -> int | None:
    """Lock a folder until the result is closed.

    None if it is gone, or if another process holds it, unless that is to be waited for.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held by another process; or the volume knows no locks, and nobody can say who holds it
        os.close(descriptor)
        return None
    return descriptor


def _sync_all(paths: list[Path], alive: Alive) -> None:
    """Have files on the disk, which takes some together: gigabytes may take it minutes."""
    with ThreadPoolExecutor(4, "sync") as pool:
        synced = [pool.submit(_sync, path) for path in paths]
        while wait(synced, _SIGN_SECONDS).not_done:
            alive()
    for each in synced:
        each.result()


def _sync(path: Path) -> None:
    """Have a file's bytes, or a folder's entries, on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
