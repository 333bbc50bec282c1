"""Opening files that come from outside: which containers, and nothing but the one file.

FFmpeg has formats that are scripts: playlists (HLS, DASH), concat lists, image sequences. Opening one makes
FFmpeg open whatever the script names. Both doors are shut before a byte is parsed: the demuxer, chosen by the
file's content, must be on the list below, and no protocol but ``file`` may be used, for the one path given.
References out of a QuickTime file (``enable_drefs``) stay off, as they are by default.

Opening a file makes FFmpeg decode a little of every stream to learn about it, cover art included. So the
caller names the decoders that may be run meanwhile: none, as long as only headers were looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Final, overload

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Stream

from app.errors import NotAudio, NotAVideo, TooMuchMemory, UnsupportedMedia
from app.media.boxes import has_sane_index
from app.media.ogg_chain import FilePart
from app.sandbox import sparing

DEMUXERS: Final = (
    "mov",
    "matroska",
    "avi",
    "mpeg",
    "mpegts",
    "mpegvideo",
    "ogg",
    "wav",
    "w64",
    "mp3",
    "flac",
    "aac",
    "aiff",
    "caf",
    "amr",
)
"""FFmpeg's names of the containers that are opened."""

ADVICE: Final[dict[type[UnsupportedMedia], str]] = {
    NotAVideo: "Send a video such as MP4, MOV, WebM, MKV, AVI or MPEG, or a picture: JPEG, PNG, WebP, GIF.",
    NotAudio: "Send a sound file such as WAV, MP3, FLAC, OGG, M4A or WebM, or a video with sound.",
}

NO_DECODER: Final = "none"
_MAX_STREAMS: Final = 64
_HEADER_BYTES: Final = 192 << 20
_MOST_HEADER_BYTES: Final = 512 << 20
"""Memory for what a file says of itself, while nothing is decoded: the longest index and twice the file, up
to so much. A chunk of twelve bytes may claim to be two gigabytes long."""

_STILL_IMAGE_BRANDS: Final = frozenset({"avif", "heic", "heix", "heim", "heis", "mif1", "miaf"})
"""Major brands (ISO/IEC 23008-12, AVIF) of single images in the container of the MP4 family."""

Refusal = type[NotAVideo] | type[NotAudio]


def refuse(refusal: Refusal, reason: str) -> UnsupportedMedia:
    """Return the error of class ``refusal`` that says ``reason`` and what to send instead."""
    return refusal(f"{reason} {ADVICE[refusal]}")


@contextmanager
def open_media(
    path: Path,
    refusal: Refusal,
    decoder: str = NO_DECODER,
    options: Mapping[str, str] | None = None,
    part: range | None = None,
    demuxer: str | None = None,
) -> Iterator[InputContainer]:
    """Open ``path`` if its content is of one of the :data:`DEMUXERS`; ``options`` are FFmpeg's.

    With ``part``, only these bytes of it are looked at; ``demuxer`` is one that is sure to be right.
    ``decoder`` is the only one that is run to learn about the streams. Raises ``refusal`` (NotAVideo or
    NotAudio) for anything else, and for every error that FFmpeg raises inside the ``with`` block;
    TooMuchMemory where that is what is wanting.
    """
    size = path.stat().st_size
    if size == 0:
        raise refuse(refusal, "The file is empty.")
    if not has_sane_index(path):
        raise refuse(refusal, "The file's index lists more samples than this service accepts.")
    shut = {
        "format_whitelist": ",".join((*DEMUXERS, demuxer) if demuxer else DEMUXERS),
        "protocol_whitelist": "file",
        "codec_whitelist": decoder,
        "max_streams": str(_MAX_STREAMS),
    }
    memory = min(_HEADER_BYTES + 2 * size, _MOST_HEADER_BYTES)
    try:
        source = f"file:{path.absolute()}" if part is None else FilePart(path, part)
        options = {**(options or {}), **shut}
        with ExitStack() as stack:
            with sparing(memory) if decoder == NO_DECODER else nullcontext():
                opened = av.open(source, "r", demuxer, options=options, metadata_errors="replace")
                container = stack.enter_context(opened)
            if container.metadata.get("major_brand", "").strip() in _STILL_IMAGE_BRANDS:
                raise refuse(refusal, "The file is a still image.")
            yield container
    except MemoryError as error:
        raise TooMuchMemory(
            "Decoding the file exceeds the memory limit; send it in another format."
        ) from error
    except ArgumentError as error:
        raise refuse(refusal, "The file is in a format that this service does not accept.") from error
    except FFmpegError as error:
        raise refuse(refusal, "The file is damaged, cut short or of an unknown format.") from error


@overload
def decode_stream(
    container: InputContainer, stream: av.VideoStream, decoder: av.VideoCodecContext | None = None
) -> Iterator[av.VideoFrame]: ...
@overload
def decode_stream(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]: ...
def decode_stream(
    container: InputContainer,
    stream: av.VideoStream | av.AudioStream,
    decoder: av.VideoCodecContext | None = None,
) -> Iterator[av.VideoFrame] | Iterator[av.AudioFrame]:
    """Decode ``stream`` to its end; packets that are damaged are skipped, as a player skips them.

    ``decoder`` is used instead of the stream's own.
    """
    decode = decoder.decode if decoder else stream.decode
    packets = container.demux(stream)
    packet: av.Packet[Stream] | None
    while True:
        try:
            packet = next(packets, None)
        except MemoryError:
            raise
        except FFmpegError:
            packet = None
        frames: Sequence[av.VideoFrame] | Sequence[av.AudioFrame] = ()
        try:
            frames = decode(packet)
        except MemoryError:
            raise
        except FFmpegError:
            pass
        yield from frames
        if packet is None:
            return
