"""Media fragments: each segment of a render is one ``moof`` + ``mdat``, made alone and in any order.

``init`` followed by fragments 0, 1, 2 ... is a fragmented MP4 (ISO/IEC 14496-12, 8.8). FFmpeg's muxer writes
each fragment as a small file of its own, of which the header is cut off, since all headers are the same; the
fragment's place in time is in its ``tfdt`` boxes.

Timestamps in fragments are never negative: video is late by the depth of reordering, sound by the AAC
priming. Edit lists in ``init`` take both off again: the first picture and the first sample come at 0.
"""

import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

import av
from av.stream import Stream

from app.media import aac
from app.media.encoder import VideoFormat, add_video_stream, encode_pictures
from app.media.files import replacing
from app.media.frames import I420Frame
from app.media.quality import EncoderSettings
from app.media.sound import Sound
from app.media.timing import Segment

_INIT_OPTIONS: Final = {"movflags": "empty_moov+default_base_moof+delay_moov"}
"""The header is written after the first packets, from whose times the muxer makes the edit lists."""

_FRAGMENT_OPTIONS: Final = {
    "movflags": "empty_moov+default_base_moof+skip_trailer+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
"""One fragment, written at the end, that begins where its first packets say."""


def write_init(path: Path, video: VideoFormat, settings: EncoderSettings, sound: Sound) -> None:
    """Write the initialisation segment (``ftyp`` + ``moov``) of a render, whole or not at all."""
    with _Muxer(_INIT_OPTIONS, video, settings, sound) as muxer:
        muxer.write_video([video.grey()], 0)
        muxer.write_sound(muxer.encode_sound(range(1)), 0)
    with replacing(path) as temporary:
        temporary.write_bytes(muxer.header)


def encode_segment(
    path: Path,
    segment: Segment,
    frames: Iterable[I420Frame],
    video: VideoFormat,
    settings: EncoderSettings,
    sound: Sound,
) -> int:
    """Encode ``frames`` and the sound that belongs to them as the fragment ``path``, whole or not at all.

    The sound is encoded by another thread meanwhile. Returns the number of frames. Raises ValueError if
    ``frames`` are not as many as ``segment`` says.
    """
    options = {**_FRAGMENT_OPTIONS, "fragment_index": str(segment.index + 1)}
    with _Muxer(options, video, settings, sound) as muxer, ThreadPoolExecutor(1, "sound") as pool:
        heard = pool.submit(muxer.encode_sound, aac.packet_range(segment, video.fps, sound))
        written = muxer.write_video(frames, segment.first_frame + muxer.reorder_depth)
        if written != segment.frame_count:
            raise ValueError(f"segment {segment.index} has {segment.frame_count} frames, not {written}")
        muxer.write_sound(heard.result(), aac.FRAME)
    with replacing(path) as temporary:
        temporary.write_bytes(muxer.fragment)
    return written


class _Muxer:
    """A fragmented MP4 in memory with one stream of pictures and one of sound."""

    def __init__(
        self, options: Mapping[str, str], video: VideoFormat, settings: EncoderSettings, sound: Sound
    ) -> None:
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format="mp4", options=dict(options))
        self._layout, self._sound = video.layout, sound
        self._pictures = add_video_stream(self._container, video, settings)
        self._samples = aac.add_audio_stream(self._container, sound)
        self._container.start_encoding()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def reorder_depth(self) -> int:
        """Frames by which showing lags behind decoding."""
        return self._pictures.codec_context.reorder_depth

    @property
    def header(self) -> bytes:
        """The file up to its fragment, once closed."""
        return self._buffer.getvalue()[: self._fragment_offset()]

    @property
    def fragment(self) -> bytes:
        """The file from its fragment on, once closed."""
        return self._buffer.getvalue()[self._fragment_offset() :]

    def write_video(self, frames: Iterable[I420Frame], delay: int) -> int:
        """Encode ``frames``, the first to be shown at tick ``delay``; return how many they were."""
        count = 0
        for packet in encode_pictures(self._pictures, frames, self._layout):
            self._write(packet, delay)
            count += 1
        return count

    def encode_sound(self, packets: range) -> "list[av.Packet[Stream]]":
        """Encode ``packets`` of the sound; may be done by another thread while pictures are written."""
        return list(aac.encode_packets(self._samples, self._sound, packets))

    def write_sound(self, packets: "Iterable[av.Packet[Stream]]", delay: int) -> None:
        """Write encoded packets of the sound, ``delay`` samples late."""
        for packet in packets:
            self._write(packet, delay)

    def _write(self, packet: "av.Packet[Stream]", delay: int) -> None:
        assert packet.pts is not None
        assert packet.dts is not None
        packet.pts += delay
        packet.dts += delay
        self._container.mux(packet)

    def _fragment_offset(self) -> int:
        data, offset = self._buffer.getbuffer(), 0
        while bytes(data[offset + 4 : offset + 8]) != b"moof":
            offset += int.from_bytes(data[offset : offset + 4], "big")
        return offset
