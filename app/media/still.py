"""Photos and animated pictures: told by their first bytes, their size and orientation read from the header.

FFmpeg would choose the reader of image *sequences* by a file's name, which opens other files; so the reader
of one picture is named here.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.media.pictures import UPRIGHT, Orientation

_HEAD: Final = 1 << 18
_EXIF_ORIENTATION: Final = 0x0112
_ORIENTATIONS: Final = {
    2: Orientation(0, True),
    3: Orientation(180),
    4: Orientation(180, True),
    5: Orientation(270, True),
    6: Orientation(90),
    7: Orientation(90, True),
    8: Orientation(270),
}
"""Exif's eight orientations (JEITA CP-3451, tag 274); 1 is upright."""
_SIZED_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's start-of-frame markers (ITU-T T.81, table B.1)."""


@dataclass(frozen=True)
class Still:
    """A photo or an animated picture: FFmpeg's name of its reader, its size in pixels, how it is turned."""

    demuxer: str
    width: int
    height: int
    orientation: Orientation = UPRIGHT
    is_animated_webp: bool = False
    """The one kind that FFmpeg does not read."""


def look_at(path: Path) -> Still | None:
    """Return what the file is if it is a JPEG, PNG, APNG, GIF or WebP; None if not."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(max(0, file.seek(0, io.SEEK_END) - _HEAD))
        tail = file.read()
    demuxer, size = _kind(head)
    return Still(demuxer, *size, _exif(head, tail), _is_animated_webp(head)) if demuxer else None


def _kind(head: bytes) -> tuple[str, tuple[int, int]]:
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg_pipe", _jpeg_size(head)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        animated = 0 <= head.find(b"acTL") < head.find(b"IDAT") % (len(head) + 1)
        return "apng" if animated else "png_pipe", (_big(head[16:20]), _big(head[20:24]))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif", (_little(head[6:8]), _little(head[8:10]))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp_pipe", _webp_size(head)
    return "", (0, 0)


def _jpeg_size(head: bytes) -> tuple[int, int]:
    place = 2
    while place + 9 < len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if marker in _SIZED_MARKERS:
            return _big(head[place + 7 : place + 9]), _big(head[place + 5 : place + 7])
        place += 1 if marker == 0xFF else 2 + _big(head[place + 2 : place + 4])
    return 0, 0


def _webp_size(head: bytes) -> tuple[int, int]:
    """Read the size of the canvas (RFC 9649, section 2.7), of a lossy or of a lossless picture."""
    if head[12:16] == b"VP8X":
        return _little(head[24:27]) + 1, _little(head[27:30]) + 1
    if head[12:16] == b"VP8L":
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF


def _is_animated_webp(head: bytes) -> bool:
    """Read the flag of animations (RFC 9649, section 2.7)."""
    return head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 0x02)


def _exif(head: bytes, tail: bytes) -> Orientation:
    """Find the orientation in Exif data: an APP1 segment of JPEG, a chunk of PNG and WebP."""
    for data in (head, tail):
        found = re.search(rb"(?:Exif\0\0|eXIf|EXIF....)(II\*\0|MM\0\*)", data, re.DOTALL)
        if found:
            return _tiff_orientation(data[found.start(1) :])
    return UPRIGHT


def _tiff_orientation(tiff: bytes) -> Orientation:
    order = _little if tiff.startswith(b"II") else _big
    entries = order(tiff[4:8])
    for number in range(order(tiff[entries : entries + 2])):
        entry = tiff[entries + 2 + 12 * number : entries + 14 + 12 * number]
        if order(entry[:2]) == _EXIF_ORIENTATION:
            return _ORIENTATIONS.get(order(entry[8:10]), UPRIGHT)
        if len(entry) < 12:
            break
    return UPRIGHT


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
