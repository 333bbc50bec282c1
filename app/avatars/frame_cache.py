"""Decoded frames on the disk, so that a render reads a frame in a fraction of a millisecond.

The file is a cache: whole or absent, rebuilt from the avatar's source when it was deleted, and bounded by a
budget over all avatars, the least recently used going first. It is read with ``preadv`` straight into the
buffer that the compositor then writes to: one copy a frame, and no page of it counts as the process's memory.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from app.avatars.manifest import Manifest
from app.avatars.store import FRAMES, AvatarStore
from app.errors import AvatarDamaged, TooManyFrames
from app.media.files import move, replacing, sweep, temporary_beside
from app.media.frames import I420Frame
from app.volume import Growth, check_room, storing


class FrameReader:
    """Reads the frames of one avatar by number. Safe to share between threads."""

    def __init__(self, path: Path, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._descriptor = os.open(path, os.O_RDONLY)

    def read_into(self, index: int, frame: I420Frame) -> None:
        """Fill ``frame`` with frame ``index``."""
        got = os.preadv(self._descriptor, [frame.data], index * self._frame_bytes)
        if got != self._frame_bytes:
            raise AvatarDamaged(
                f"Frame {index} is missing from the frame cache; delete {FRAMES} to rebuild it."
            )

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_through(
    frames: Iterable[I420Frame], file: BinaryIO, count: Callable[[int], None]
) -> Iterator[I420Frame]:
    """Pass frames on, each written to ``file`` meanwhile by another thread; at the end all are written.

    ``count`` hears of the bytes before they are written, and may raise to stop it.
    """
    with ThreadPoolExecutor(1, "frame-cache") as pool:
        written: Future[int] | None = None
        for frame in frames:
            if written:
                written.result()
            count(frame.nbytes)
            written = pool.submit(file.write, frame.data)
            yield frame
        if written:
            written.result()


class FrameCache:
    """The caches of all avatars of a store, kept within ``budget`` bytes."""

    def __init__(self, store: AvatarStore, budget: int, folder: Path | None = None) -> None:
        """The frames lie beside their avatar, or all in ``folder``, which only this machine need see."""
        self._store = store
        self._budget = budget
        self._folder = folder

    def open(self, manifest: Manifest, decode: Callable[[], Iterable[I420Frame]]) -> FrameReader:
        """Open the frames of an avatar; if they are not cached, call ``decode`` and cache what it gives.

        Raises :class:`AvatarDamaged` if ``decode`` gives another number of frames than the manifest says.
        """
        path = self._path(manifest)
        if not _is_whole(path, manifest):
            needed = manifest.frame_count * manifest.frame_bytes
            self.make_room(needed, keep=path)
            with storing():
                check_room(path.parent, needed)
                _rebuild(path, manifest, decode())
        with suppress(OSError):  # on a volume that is only read nothing is ever dropped, either
            os.utime(path)
        return FrameReader(path, manifest.frame_bytes)

    @contextmanager
    def adding(self, needed: int, avatar: Path) -> Iterator[Path]:
        """Give the file for ``needed`` bytes of frames of an avatar that is being made in a folder.

        A file elsewhere that the block does not :meth:`keep` is gone afterwards. Raises
        :class:`TooManyFrames`, :class:`StorageFull`.
        """
        self._check_budget(needed)
        self.make_room(needed, keep=None)
        check_room(self._folder or avatar, needed)
        if self._folder is None:
            yield avatar / FRAMES
            return
        with temporary_beside(self._folder / avatar.name) as path:
            yield path

    def growth_of(self, path: Path) -> Callable[[int], None]:
        """Return what counts the bytes of a file of frames before they are written.

        A header is only a promise: it raises :class:`TooManyFrames`, :class:`StorageFull` if there are more.
        """
        growth = Growth(path.parent)

        def count(more: int) -> None:
            self._check_budget(growth.total + more)
            growth.add(more)

        return count

    def _check_budget(self, needed: int) -> None:
        if needed > self._budget:
            raise TooManyFrames(
                f"The video's frames take more than the {self._budget / 1e9:.1f} GB that decoded frames may "
                "take here; send a shorter or a smaller one."
            )

    def keep(self, path: Path, manifest: Manifest) -> None:
        """Keep the file of frames of an avatar that has been made."""
        if self._folder is not None:
            move(path, self._path(manifest))

    def make_room(self, needed: int, keep: Path | None) -> None:
        """Delete least recently used caches, but not ``keep``, until ``needed`` more bytes fit.

        In a folder of its own those go first whose avatar was deleted, on whichever machine.
        """
        caches = []
        for path in self._files():
            try:
                caches.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:
                continue
        total = needed + sum(size for _, size, path in caches if path != keep)
        for _, size, path in sorted(caches):
            if total <= self._budget:
                return
            if path != keep:
                with suppress(OSError):
                    path.unlink()
                total -= size

    def _path(self, manifest: Manifest) -> Path:
        # Named by what they are decoded from: another avatar may get this id, on whichever machine.
        if self._folder is not None:
            return self._folder / f"{manifest.frames_key}.i420"
        return self._store.path(manifest.id) / FRAMES

    def _files(self) -> list[Path]:
        """Return the files of all caches; those that no avatar has any more are deleted."""
        if self._folder is None:
            return list(self._store.root.glob(f"[!.]*/{FRAMES}"))
        self._folder.mkdir(parents=True, exist_ok=True)
        wanted = {self._path(manifest) for manifest in self._store.list()}
        sweep(self._folder)
        files = list(self._folder.glob("[!.]*.i420"))
        for path in {*files} - wanted:
            path.unlink(missing_ok=True)
        return files


def _is_whole(path: Path, manifest: Manifest) -> bool:
    try:
        return path.stat().st_size == manifest.frame_count * manifest.frame_bytes
    except FileNotFoundError:
        return False


def _rebuild(path: Path, manifest: Manifest, decode: Iterable[I420Frame]) -> None:
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            count = sum(1 for _ in write_through(decode, file, Growth(path.parent).add))
        if count != manifest.frame_count:
            raise AvatarDamaged(
                f"The source of avatar {manifest.id!r} decodes to {count} frames, not "
                f"{manifest.frame_count}; delete the avatar and make it anew."
            )
