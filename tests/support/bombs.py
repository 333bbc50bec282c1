"""Small files that ask for gigabytes."""

import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np

from tests.support.clips import speech_like

SIDE = 16000


def _sound(
    path: Path, codec: str, rate: int = 16000, options: dict[str, str] | None = None, seconds: float = 0.5
) -> bytearray:
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        samples = (speech_like(seconds, rate)[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size or 1024)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return bytearray(path.read_bytes())


def _finish(path: Path, data: bytes | bytearray) -> Path:
    path.write_bytes(data)
    return path


def slow_flac(folder: Path) -> Path:
    """FLAC of one sample a second: so its header says, and its frame refers to that (RFC 9639, 8.2, 9.1)."""
    data = _sound(folder / "slow.flac", "flac", seconds=0.1)
    data[18:21] = bytes([0, 0, 1 << 4 | data[20] & 0x0F])
    start = data.index(b"\xff\xf8")
    length = 5 + {6: 1, 7: 2}.get(data[start + 2] >> 4, 0)
    data[start + 2] &= 0xF0
    data[start + length] = _crc(data[start : start + length], 8, 0x07)
    data[-2:] = _crc(data[start:-2], 16, 0x8005).to_bytes(2, "big")
    return _finish(folder / "slow.flac", data)


def _crc(data: bytes | bytearray, bits: int, polynomial: int) -> int:
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 else 0)) & (1 << bits) - 1
    return value


def endless_index(folder: Path) -> Path:
    """An M4A whose sample table says that it has 120 million samples of one byte."""
    data = _sound(folder / "index.m4a", "aac")
    place = data.index(b"stsz") + 8
    data[place : place + 8] = struct.pack(">II", 1, 120_000_000)
    return _finish(folder / "index.m4a", data)


def hidden_index(folder: Path, how: str) -> Path:
    """:func:`endless_index`, with its claim where FFmpeg finds it and no writer puts it."""
    data = bytes(endless_index(folder).read_bytes())
    path = folder / "hidden.m4a"
    if how in ("free", "hoov"):
        return _finish(path, data.replace(b"moov", how.encode()))
    table = _content(data, b"stbl")
    sizes = _content(data, b"stsz")
    claim = _box(b"stsz", sizes)
    match how:
        case "stsd":
            rest = table.replace(claim, b"")
            description = _content(data, b"stsd")
            told = description[:8] + _box(description[12:16], description[16:] + claim)
            table = _box(b"stbl", rest.replace(_box(b"stsd", description), _box(b"stsd", told)))
        case "meta":
            table = _box(b"meta", bytes(4) + _box(b"hdlr", _content(data, b"hdlr")) + table)
        case "late meta":
            hdlr = _box(b"hdlr", _content(data, b"hdlr"))
            table = _box(b"meta", bytes(4) + _box(b"free", bytes(1 << 20)) + hdlr + table)
        case "large meta":
            hdlr = _box(b"hdlr", _content(data, b"hdlr"))
            table = _box(b"meta", bytes(4) + hdlr + _box(b"free", bytes(1 << 20)) + table)
        case "long":
            table = struct.pack(">I4sQ", 1, b"stbl", 8) + table
        case "deep":
            table = _box(b"udta", _box(b"udta", _box(b"udta", _box(b"udta", _box(b"stbl", table)))))
        case _:
            table = _box(how.encode(), table)
    whole = _box(b"stbl", _content(data, b"stbl"))
    media = _content(data, b"minf").replace(whole, table)
    for parent, child in ((b"mdia", b"minf"), (b"trak", b"mdia"), (b"moov", b"trak")):
        media = _content(data, parent).replace(_box(child, _content(data, child)), _box(child, media))
    return _finish(path, data.replace(_box(b"moov", _content(data, b"moov")), _box(b"moov", media)))


HIDDEN = (
    *("free", "hoov", "dinf", "sinf", "schi", "ilst", "wave", "stsd", "long", "deep"),
    *("meta", "late meta", "large meta"),
)


def song(folder: Path) -> Path:
    """No bomb: an M4A of half a second with a cover of 2 MiB, as music shops write it."""
    data = bytes(_sound(folder / "song.m4a", "aac"))
    _, jpeg = cv2.imencode(".jpg", np.zeros((600, 600, 3), np.uint8))
    cover = struct.pack(">II", 13, 0) + jpeg.tobytes().ljust(2 << 20, b"\0")
    handler = _box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = _box(b"ilst", _box(b"covr", _box(b"data", cover)))
    movie = b"".join(_box(kind, _content(data, kind)) for kind in (b"mvhd", b"trak"))
    movie += _box(b"udta", _box(b"meta", bytes(4) + handler + tags))
    return _finish(
        folder / "song.m4a", data.replace(_box(b"moov", _content(data, b"moov")), b"") + _box(b"moov", movie)
    )


def slow_notes(folder: Path) -> Path:
    """An MP4 of 64 MiB in which ``hdlr`` stands a quarter of a million times a MiB, never at a whole word."""
    bait = _box(b"meta", b"hdlr"[1:] + b"hdlr" * ((1 << 18) - 1) + b"h")
    return _finish(folder / "notes.mp4", _box(b"ftyp", b"isom" + bytes(4)) + bait * 64)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _content(data: bytes, kind: bytes) -> bytes:
    """Return what is in the first box of a kind."""
    place = data.index(kind)
    return data[place + 4 : place - 4 + int.from_bytes(data[place - 4 : place], "big")]


def endless_chunk(folder: Path) -> Path:
    """A MOV of PCM whose chunk says that it has four thousand million samples, again and again."""
    data = _sound(folder / "chunk.mov", "pcm_s16le")
    place = data.index(b"stsc") + 12
    data[place + 4 : place + 8] = struct.pack(">I", 0xFFFFFFFF)
    return _finish(folder / "chunk.mov", data)


def endless_fragment(folder: Path) -> Path:
    """A fragmented M4A whose run says that it has a hundred million samples."""
    data = _sound(folder / "run.m4a", "aac", options={"movflags": "frag_keyframe+empty_moov"})
    place = data.index(b"trun") + 4
    data[place : place + 8] = struct.pack(">II", 0, 100_000_000)
    return _finish(folder / "run.m4a", data)


def compressed_index(folder: Path) -> Path:
    """A MOV whose compressed header says that it is three gigabytes long."""
    data = zlib.compress(bytes(1000))
    inner = struct.pack(">I4sI4s", 12, b"dcom", 0, b"zlib")[:8] + b"zlib"
    inner += struct.pack(">I4sI", 12 + len(data), b"cmvd", 3 << 30) + data
    cmov = struct.pack(">I4s", 8 + len(inner), b"cmov") + inner
    moov = struct.pack(">I4s", 8 + len(cmov), b"moov") + cmov
    return _finish(folder / "compressed.mov", struct.pack(">I4s4sI", 16, b"ftyp", b"qt  ", 0) + moov)


def long_alac(folder: Path) -> Path:
    """Apple Lossless whose header asks for frames of sixteen million samples."""
    data = _sound(folder / "long.m4a", "alac")
    place = data.rindex(b"alac") + 8
    data[place : place + 4] = struct.pack(">I", 4096 * 4096)
    return _finish(folder / "long.m4a", data)


def endless_note(folder: Path) -> Path:
    """A WAV with a note that says that it is two gigabytes long."""
    data = bytes(_sound(folder / "note.wav", "pcm_s16le"))
    place = data.index(b"data")
    note = struct.pack("<4sI4s4sI", b"LIST", 0x7FFFFFF0, b"INFO", b"ISFT", 0x7FFFFF00)
    return _finish(folder / "note.wav", data[:place] + note + data[place:])


def large_cover(folder: Path) -> Path:
    """An MP3 with a PNG of 256 megapixels as its cover (ID3v2.3, 4.15)."""
    sound = bytes(_sound(folder / "cover.mp3", "mp3"))
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
    png += _chunk(b"IDAT", _packed_zeros(SIDE * (1 + SIDE))) + _chunk(b"IEND", b"")
    picture = b"\0image/png\0\x03\0" + png
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return _finish(folder / "cover.mp3", b"ID3\x03\0\0" + size + frame + sound)


def long_text(folder: Path) -> Path:
    """A PNG of 320 x 240 pixels with a compressed text of one gigabyte (PNG, 11.3.3.3)."""
    text = _packed_zeros(1 << 30)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 0, 0, 0, 0))
    png += _chunk(b"zTXt", b"a\0\0" + text) + _chunk(b"IDAT", zlib.compress(bytes(321 * 240)))
    return _finish(folder / "text.png", png + _chunk(b"IEND", b""))


def _packed_zeros(count: int) -> bytes:
    """Return so many zeros as zlib compresses them (RFC 1950), a megabyte packed once and repeated."""
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # depends on nothing before it
    rest = packer.compress(bytes(count % (1 << 20))) + packer.flush()
    checksum = (count % 65521) << 16 | 1
    return b"\x78\x01" + first * (count >> 20) + rest + struct.pack(">I", checksum)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


SOUNDS = (slow_flac, endless_index, endless_chunk, endless_fragment, compressed_index, long_alac, large_cover)
