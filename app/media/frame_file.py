"""Frames in a file, one after the other, so that one is read in a fraction of a millisecond.

It is read with ``preadv`` straight into the buffer that the compositor then writes to: one copy a frame, and
no page of it counts as the process's memory.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np

from app.errors import AvatarDamaged, TooManyFrames
from app.media.frames import FramePieces, I420Frame
from app.volume import Growth

_ALL: Final = (slice(None),)

_RECENT_BYTES: Final = 64 << 20
"""What a few frames take that are kept because the next ones often want the same."""


class FrameReader:
    """Reads the frames of a file by number. Safe to share between threads."""

    def __init__(self, path: Path, frame_bytes: int) -> None:
        self._path = path
        self._frame_bytes = frame_bytes
        self._descriptor = os.open(path, os.O_RDONLY)

    def read_into(self, index: int, frame: I420Frame, parts: Sequence[slice] = _ALL) -> None:
        """Fill ``frame``, or ``parts`` of its bytes, with frame ``index``.

        Raises :class:`AvatarDamaged` if the file is shorter.
        """
        for part in parts:
            target, start = frame[part], part.start or 0
            got = os.preadv(self._descriptor, [target.data], index * self._frame_bytes + start)
            if got != target.nbytes:
                raise AvatarDamaged(
                    f"Frame {index} is missing from {self._path.name}; delete that file to rebuild it."
                )

    def note_use(self) -> None:
        """Set the file's time of change to now, where the volume is not only read."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecentFrames:
    """Whole frames by number, of which the last few that were asked for are kept.

    A frame may be overwritten once two others have been asked for.
    """

    def __init__(self, frames: FrameReader, frame_bytes: int) -> None:
        self._frames, self._frame_bytes = frames, frame_bytes
        self._most = max(2, _RECENT_BYTES // frame_bytes)
        self._kept: OrderedDict[int, I420Frame] = OrderedDict()

    def __getitem__(self, index: int) -> I420Frame:
        frame = self._kept.pop(index, None)
        if frame is None:
            frame = (
                self._kept.popitem(last=False)[1]
                if len(self._kept) >= self._most
                else np.empty(self._frame_bytes, np.uint8)
            )
            self._frames.read_into(index, frame)
        self._kept[index] = frame
        return frame


def write_frames(frames: Iterable[FramePieces], path: Path, most_bytes: int) -> Iterator[FramePieces]:
    """Write frames to a file by another thread, and pass each on meanwhile; at the end all are written.

    A video's header is only a promise: raises :class:`TooManyFrames`, :class:`StorageFull` once the frames
    take more than ``most_bytes``, or than the volume has room for.
    """
    growth = Growth(path.parent)
    with _emptied(path) as file, ThreadPoolExecutor(1, "frames") as pool:
        written: Future[None] | None = None
        for frame in frames:
            if written:
                written.result()
            size = sum(piece.nbytes for piece in frame)
            check_budget(growth.total + size, most_bytes)
            growth.add(size)
            written = pool.submit(_append, file, frame)
            yield frame
        if written:
            written.result()


def _emptied(path: Path) -> BinaryIO:
    """Open a file for writing, without what was in it.

    ext4 flushes a file to the disk when it is closed if it was truncated before, even where it was empty.
    """
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
    if os.fstat(file.fileno()).st_size:
        file.truncate(0)
    return file


def _append(file: BinaryIO, frame: FramePieces) -> None:
    for piece in frame:
        file.write(piece.data)
    file.flush()  # others may read it at once


def check_budget(needed: int, most_bytes: int) -> None:
    """Raise :class:`TooManyFrames` for frames that take more bytes than they may."""
    if needed > most_bytes:
        raise TooManyFrames(
            f"The video's frames take more than the {most_bytes / 1e9:.1f} GB that decoded frames may "
            "take here; send a shorter or a smaller one."
        )
