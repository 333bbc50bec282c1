"""Decoded frames of avatars on the disk: whole or absent, rebuilt from the source when they were deleted.

They are bounded by a budget over all avatars; the least recently used go first.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from app.avatars.manifest import Manifest
from app.avatars.store import CACHES, DEEP_FRAMES, FRAMES, TRANSPARENT_FRAMES, AvatarStore, make_way
from app.errors import AvatarDamaged
from app.media.files import replacing, sweep, temporary_beside
from app.media.frame_file import FrameReader, check_budget
from app.media.frames import I420Frame
from app.volume import check_room, is_file, status_of, storing

Decode = Callable[[Path, int], Iterable[I420Frame]]
"""Writes frames to a file, so many bytes at most, and gives each."""


class FrameCache:
    """The caches of all avatars of a store, kept within ``budget`` bytes."""

    def __init__(self, store: AvatarStore, budget: int, folder: Path | None = None) -> None:
        """The frames lie beside their avatar, or all in ``folder``, which only this machine need see."""
        self._store = store
        self.budget = budget
        self._folder = folder

    def open(self, manifest: Manifest, decode: Decode, name: str = FRAMES) -> FrameReader:
        """Open the frames of an avatar; if they are not cached, have ``decode`` write them.

        ``name`` is one of ``CACHES``. On a volume that is only read they are decoded just this once, to a
        temporary file. Raises :class:`AvatarDamaged` if there are not as many as the manifest says,
        :class:`TooManyFrames` if they take more than is there for all avatars.
        """
        path = self._path(manifest, name)
        frame_bytes = _HALVES[name] * manifest.width * manifest.height // 2
        needed = manifest.frame_count * frame_bytes
        while True:
            if not _is_whole(path, needed):
                if name != FRAMES:
                    check_budget(needed, self.budget)
                most = max(self.budget, needed)
                if not _takes_files(path.parent):
                    return self._open_once(manifest, decode, name, frame_bytes, most)
                self._rebuild(path, needed, manifest, decode, most)
            with suppress(FileNotFoundError):  # another worker needed the room, just now
                reader = FrameReader(path, frame_bytes)
                reader.note_use()
                return reader

    @contextmanager
    def adding(self, needed: int, avatar: Path) -> Iterator[Path]:
        """Give the file for ``needed`` bytes of frames of an avatar that is being made in a folder.

        A file elsewhere that the block does not :meth:`keep` is gone afterwards. Raises
        :class:`TooManyFrames`, :class:`StorageFull`.
        """
        check_budget(needed, self.budget)
        self._drop_unwanted()
        self.make_room(needed, keep=None)
        check_room(self._folder or avatar, needed)
        if self._folder is None:
            yield avatar / FRAMES
            return
        with temporary_beside(self._folder / avatar.name) as path:
            yield path

    def keep(self, path: Path, manifest: Manifest) -> None:
        """Keep the file of frames of an avatar that has been made, whatever was expected of its size."""
        self.make_room(path.stat().st_size, keep=None)
        if self._folder is not None:
            make_way(self._path(manifest, FRAMES), manifest.id)
            path.replace(self._path(manifest, FRAMES))

    def make_room(self, needed: int, keep: Path | None) -> None:
        """Delete least recently used caches, but not ``keep``, until ``needed`` more bytes fit."""
        caches = []
        for path in self._store.cache_files(self._folder):
            if found := status_of(path):
                caches.append((found.st_mtime, found.st_size, path))
        total = needed + sum(size for _, size, path in caches if path != keep)
        for _, size, path in sorted(caches):
            if total <= self.budget:
                return
            if path != keep:
                with suppress(OSError):
                    path.unlink()
                total -= size

    def _open_once(
        self, manifest: Manifest, decode: Decode, name: str, frame_bytes: int, most: int
    ) -> FrameReader:
        """Decode frames to a temporary file, which is gone when its reader is closed."""
        folder = Path(gettempdir())
        with storing():
            for each in CACHES:
                sweep(folder, Path(each))
            check_room(folder, manifest.frame_count * frame_bytes)
            with temporary_beside(folder / name, mode=0o600) as path:
                _decode(path, manifest, decode, most)
                return FrameReader(path, frame_bytes)

    def _rebuild(self, path: Path, needed: int, manifest: Manifest, decode: Decode, most: int) -> None:
        self._drop_unwanted()
        self.make_room(needed, keep=path)
        with storing():
            check_room(path.parent, needed)
            make_way(path, manifest.id)
            with replacing(path, durable=False) as temporary:
                _decode(temporary, manifest, decode, most)

    def _path(self, manifest: Manifest, name: str) -> Path:
        # Named by what they are decoded from: another avatar may get this id, on whichever machine.
        if self._folder is not None:
            return self._folder / f"{manifest.frames_key}{Path(name).suffix}"
        return self._store.path(manifest.id) / name

    def _drop_unwanted(self) -> None:
        """Delete from a folder of its own what no avatar has any more, whichever machine deleted it."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        sweep(self._folder)
        # Listed before the avatars: what is made in between is wanted.
        files = list(self._store.cache_files(self._folder))
        with suppress(OSError):  # a volume that fails does not say what is wanted
            wanted = self._store.frames_keys()
            for path in files:
                if path.stem not in wanted and is_file(path):
                    path.unlink(missing_ok=True)


_HALVES: Final = {FRAMES: 3, TRANSPARENT_FRAMES: 5, DEEP_FRAMES: 6}
"""Half bytes that each pixel of a frame takes."""


def _decode(path: Path, manifest: Manifest, decode: Decode, most: int) -> None:
    count = sum(1 for _ in decode(path, most))
    if count != manifest.frame_count:
        raise AvatarDamaged(
            f"The source of avatar {manifest.id!r} decodes to {count} frames, not "
            f"{manifest.frame_count}; delete the avatar and create it again."
        )


def _takes_files(folder: Path) -> bool:
    """Whether files may be made in a folder, which need not exist yet."""
    return os.access(folder, os.W_OK) or not folder.exists()


def _is_whole(path: Path, size: int) -> bool:
    found = status_of(path)
    return found is not None and found.st_size == size
