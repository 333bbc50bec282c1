"""How long the index of an MP4 claims to be, read before FFmpeg allocates memory for it.

A box of twelve bytes can claim that a track has a hundred million samples, and FFmpeg then allocates 24
bytes for each. So the boxes that make such claims (ISO/IEC 14496-12, 8.7 and 8.8.8) are read here first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

MAX_INDEX_ENTRIES: Final = 2_000_000
"""Six hours of AAC at 96 kHz; of PCM FFmpeg makes one entry for 1024 samples."""
_MAX_BOXES: Final = 200_000
_MAX_DEPTH: Final = 10
"""FFmpeg reads no deeper."""
_MAX_TABLE_BYTES: Final = 1 << 20
_PCM_SAMPLES_AN_ENTRY: Final = 1024

_CONTAINERS: Final = frozenset(
    b"moov trak mdia minf stbl mvex moof traf udta edts tref dinf sinf schi ilst wave iprp ipco".split()
)
"""In which FFmpeg reads boxes of any kind wherever they are (``mov_default_parse_table``), and some more."""
_MAYBE_MOVIES: Final = frozenset({b"free", b"hoov"})
"""Taken for a ``moov`` if that is what the first box in them belongs to."""
_HANDLER: Final = int.from_bytes(b"hdlr", "big")
_COMPRESSED: Final = b"cmov"
_TABLES: Final = frozenset({b"hdlr", b"stsz", b"stz2", b"stts", b"stsc", b"stco", b"co64", b"trun"})
_CLAIMS: Final = re.compile(rb"stsz|stz2|stts|stsc|stco|co64|trun|moov|cmov")
"""No box that a description of samples (``stsd``) has in it is called so."""


@dataclass
class _Track:
    """What the tables of one track claim."""

    is_sound: bool = False
    samples: int = 0
    durations: list[int] = field(default_factory=list)
    chunks: int = 0
    spread: list[tuple[int, int]] = field(default_factory=list)
    """From which chunk on there are how many samples in each."""

    @property
    def entries(self) -> int:
        """How many entries FFmpeg's index of the track will have."""
        if not self.is_sound or self.durations != [1]:
            return self.samples
        ends = [first for first, _ in self.spread[1:]] + [self.chunks + 1]
        return sum(
            max(0, end - first) * -(-count // _PCM_SAMPLES_AN_ENTRY)
            for (first, count), end in zip(self.spread, ends, strict=True)
        )


def has_sane_index(path: Path) -> bool:
    """Return whether the boxes of ``path`` ask for an index of sane length; True for what is no MP4.

    A compressed index (QuickTime's ``cmov``) is not sane: it can claim any length.
    """
    tracks, fragments = [_Track()], 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for number, (kind, start, end) in enumerate(_boxes(file, 0, size, 0)):
            if number > _MAX_BOXES or kind == _COMPRESSED:
                return False
            if kind == b"meta" and _hides(file, start, end):
                return False
            if kind == b"stsd" and (
                end - start > _MAX_TABLE_BYTES or _CLAIMS.search(_read(file, start, end))
            ):
                return False
            if kind == b"trak":
                tracks.append(_Track())
            elif kind == b"trun":
                fragments += _word(_read(file, start, end), 4)
            elif kind in _TABLES:
                _note(tracks[-1], kind, _read(file, start, end))
    return fragments + sum(track.entries for track in tracks) <= MAX_INDEX_ENTRIES


def _boxes(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box from ``start`` to ``end``, and those inside: type, and where its content lies."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, kind, header = _word(head, 0), head[4:8], 8
        if size == 1:  # for FFmpeg, a long size of eight is to the end, too
            size, header = int.from_bytes(head[8:16], "big", signed=True) - 8, 16
        stop = min(end, start + header + size - 8) if size else end
        if stop < start + header:
            return
        yield kind, start + header, stop
        inside = _inside(file, kind, start + header, stop)
        if inside is not None and depth < _MAX_DEPTH:
            yield from _boxes(file, inside, stop, depth + 1)
        start = stop


def _inside(file: BinaryIO, kind: bytes, start: int, end: int) -> int | None:
    """Return where the boxes begin that FFmpeg reads in the content of one; None if it reads none."""
    if kind == b"iref":
        return start + 4
    if kind == b"meta":
        handler = _handler(file, start, end)
        return None if handler is None else handler - 4
    if kind in _MAYBE_MOVIES:
        return start if _read(file, start, min(end, start + 8))[4:] in (b"mvhd", _COMPRESSED) else None
    return start if kind in _CONTAINERS else None


def _hides(file: BinaryIO, start: int, end: int) -> bool:
    """Whether FFmpeg may find the handler of a ``meta``, and boxes after it, beyond what is read here."""
    return end - start > _MAX_TABLE_BYTES and _handler(file, start, end) is None


def _handler(file: BinaryIO, start: int, end: int) -> int | None:
    """Return where the first ``hdlr`` is in the beginning of a ``meta``, at whole words, as FFmpeg looks."""
    content = _read(file, start, end)
    words = np.frombuffer(content, ">u4", len(content) // 4)
    found = np.flatnonzero(words == _HANDLER)
    return start + 4 * int(found[0]) if found.size else None


def _note(track: _Track, kind: bytes, content: bytes) -> None:
    count = _word(content, 4)
    match kind:
        case b"hdlr":
            handler = content[8:12]  # QuickTime has a second one, of the data, which changes nothing
            track.is_sound = handler == b"soun" or (track.is_sound and handler != b"vide")
        case b"stsz" | b"stz2":
            track.samples += _word(content, 8)
        case b"stts":
            track.durations += [_word(content, 8 + 8 * row + 4) for row in range(min(count, 2))]
        case b"stco" | b"co64":
            track.chunks += count
        case b"stsc":
            rows = range(8, min(len(content) - 11, 8 + 12 * count), 12)
            track.spread += [(_word(content, row), _word(content, row + 4)) for row in rows]


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(min(end - start, _MAX_TABLE_BYTES))


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "big")
