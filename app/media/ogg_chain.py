"""Chained Ogg files: whole streams one after the other, as an internet radio or ``cat`` writes them.

FFmpeg's demuxer stops at a link whose sample rate or channels differ from those of the first, and mixes up
the clocks of the others; so each link is read as a file of its own. A link begins where, after pages of data,
streams begin again (RFC 3533, section 4).
"""

import io
from pathlib import Path
from typing import BinaryIO, Final

from app.progress import Alive

_CAPTURE: Final = b"OggS"
_HEADER_BYTES: Final = 27
_BEGINS: Final = 0x02
"""Flag of the page with which a logical stream begins."""


def ogg_links(path: Path, alive: Alive) -> list[range]:
    """Return the bytes of each link of an Ogg file; none for a file that is no Ogg or has only one.

    ``alive`` is called for each page and may raise to stop the work.
    """
    starts: list[int] = []
    with path.open("rb") as file:
        end = file.seek(0, io.SEEK_END)
        position, within_start = file.seek(0), False
        while (page := _page(file, position)) is not None:
            alive()
            size, begins = page
            if begins and not within_start:
                starts.append(position)
            within_start = begins
            position += size
    if len(starts) < 2:
        return []
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], end], strict=True)]


def _page(file: BinaryIO, position: int) -> tuple[int, bool] | None:
    """Return the size of the page at ``position`` and whether a stream begins there; None without a page."""
    file.seek(position)
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_CAPTURE):
        return None
    segments = file.read(header[26])
    return _HEADER_BYTES + header[26] + sum(segments), bool(header[5] & _BEGINS)


class FilePart(io.RawIOBase):
    """Some bytes of a file, read as if they were all of it."""

    def __init__(self, path: Path, part: range) -> None:
        self._file = path.open("rb")
        self._part = part
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, counted from the part's start, the present place or the part's end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._part)}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the present place."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most ``size``; none at the part's end."""
        left = max(0, len(self._part) - self._position)
        self._file.seek(self._part.start + self._position)
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
