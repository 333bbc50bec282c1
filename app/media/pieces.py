"""WebM and MOV: the pictures of each segment in a file of its own, the sound when they are joined.

These formats are not streamed, so a piece is whatever holds encoded pictures: a Matroska. Every encoder run
begins with a key picture and refers to nothing outside of it. What the threads do must not change the result,
or pieces made by two workers would differ: VP9 works on tiles, whose number depends on the width alone, and
ProRes codes each picture by itself.

VP9 has no transparency; WebM keeps it as a second VP9 stream, whose pictures lie beside those of the first
(``BlockAdditional``). It is coded without loss: a result lies where the footage lay.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

import av
import numpy as np
from av.container import OutputContainer
from av.packet import PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from app.media.encoder import VideoFormat, describe_video, wrap_picture
from app.media.files import replacing
from app.media.frames import FrameLayout, I420Frame
from app.media.quality import Quality
from app.media.sound import Sound
from app.progress import Alive

JoinedFormat = Literal["webm", "mov"]
Packet: TypeAlias = "av.Packet[Stream]"

_DETERMINISTIC: Final = {"fflags": "+bitexact"}
"""Without it Matroska files get random numbers as names."""

_VP9: Final[dict[Quality, dict[str, str]]] = {
    "draft": {"deadline": "realtime", "cpu-used": "8", "crf": "38"},
    "standard": {"deadline": "realtime", "cpu-used": "8", "crf": "26"},
    "high": {"deadline": "realtime", "cpu-used": "6", "crf": "12"},
}
"""For the SSIM of H.264's qualities: 0.983, 0.990 and 0.994 on the demo clip at 720p, with 0.4, 1.0 and 1.9
Mbit/s. The deadline ``good`` took six times as long for two thirds of that."""
_VP9_ALWAYS: Final = {"b": "0", "auto-alt-ref": "0", "tile-columns": "2", "row-mt": "0"}
_VP9_ALPHA: Final = {"lossless": "1", "deadline": "realtime", "cpu-used": "8", **_VP9_ALWAYS}
_ALPHA_ID: Final = (1).to_bytes(8, "big")
"""What comes before an alpha picture in a ``BlockAdditional``."""

_PRORES: Final[dict[Quality, int]] = {"draft": 12, "standard": 6, "high": 2}
"""Quantisers of ProRes: SSIM 0.994, 0.997 and 0.999 with 21, 34 and 74 Mbit/s on the same clip."""
_LAMBDA: Final = 118
"""FFmpeg's unit of global quality, a quantiser of 1."""

_OPUS_RATE: Final = 48000
_OPUS_BITS: Final = 80_000
"""Bits a second for each channel."""
_OPUS_LAYOUTS: Final = {"4.0": "quad"}
_BLOCK: Final = 1 << 16
"""Samples that are read together."""


def encode_piece(
    path: Path,
    frames: Iterable[I420Frame],
    count: int,
    video: VideoFormat,
    form: JoinedFormat,
    quality: Quality,
    threads: int,
) -> None:
    """Encode ``count`` frames as the piece ``path``, whole or not at all.

    A frame of a transparent video has a fourth plane. Raises ValueError if there are not as many frames.
    """
    with replacing(path) as temporary:
        with av.open(str(temporary), "w", format="matroska", options=_DETERMINISTIC) as container:
            encode = _encode_vp9 if form == "webm" else _encode_prores
            written = 0
            for packet in encode(container, frames, video, quality, threads):
                packet.pts = packet.dts = written
                packet.duration, packet.time_base = 1, 1 / video.fps
                container.mux(packet)
                written += 1
        if written != count:
            raise ValueError(f"a piece has {count} frames, not {written}")


def join(
    pieces: Iterable[Path], path: Path, video: VideoFormat, form: JoinedFormat, sound: Sound, alive: Alive
) -> None:
    """Join ``pieces``, in order, and the sound into the file ``path``, whole or not at all."""
    pieces = list(pieces)
    options = {"webm": {"cues_to_front": "1"}, "mov": {"movflags": "faststart"}}[form] | _DETERMINISTIC
    with (
        replacing(path) as temporary,
        av.open(str(pieces[0])) as first,
        av.open(str(temporary), "w", format=form, options=options) as target,
    ):
        pictures = target.add_stream_from_template(first.streams.video[0], opaque=True)
        pictures.time_base = 1 / video.fps
        if video.transparent and form == "webm":
            pictures.metadata["alpha_mode"] = "1"
        samples = _add_sound(target, sound, form)
        target.start_encoding()
        joined, encoded = _joined(pieces, pictures, video.fps), _encoded(samples, sound, alive)
        for _, packet in merge(joined, encoded, key=lambda each: each[0]):
            target.mux(packet)


def _encode_vp9(
    container: OutputContainer,
    frames: Iterable[I420Frame],
    video: VideoFormat,
    quality: Quality,
    threads: int,
) -> Iterator[Packet]:
    stream = container.add_stream("libvpx-vp9", rate=video.fps, options=_VP9[quality] | _VP9_ALWAYS)
    describe_video(stream.codec_context, video, "yuv420p")
    stream.codec_context.thread_count = threads
    if not video.transparent:
        yield from _encoded_by(stream.encode, frames, video)
        return
    stream.metadata["alpha_mode"] = "1"
    alpha = av.CodecContext.create("libvpx-vp9", "w")
    describe_video(alpha, video, "yuv420p")
    alpha.framerate, alpha.options, alpha.thread_count = video.fps, _VP9_ALPHA, threads
    colors: deque[Packet] = deque()
    opacities: deque[Packet] = deque()
    grey = np.full(video.layout.frame_bytes, 128, np.uint8)
    pixels = video.layout.width * video.layout.height
    for index, frame in enumerate(chain(frames, [None])):
        if frame is None:
            colors.extend(stream.encode(None))
            opacities.extend(alpha.encode(None))
        else:
            color = frame[: video.layout.frame_bytes]
            grey[:pixels] = frame[video.layout.frame_bytes :]
            colors.extend(stream.encode(_timed(wrap_picture(color, video.layout), index, video)))
            opacities.extend(alpha.encode(_timed(wrap_picture(grey, video.layout), index, video)))
        while colors and opacities:
            yield _with_alpha(colors.popleft(), opacities.popleft())


def _with_alpha(color: Packet, alpha: Packet) -> Packet:
    data = _ALPHA_ID + bytes(alpha)
    kind = packet_sidedata_type_from_literal("matroska_block_additional")
    beside = PacketSideData(kind, len(data))  # type: ignore[call-arg]  # the stubs lack its constructor
    beside.update(data)
    color.set_sidedata(beside)
    return color


def _encode_prores(
    container: OutputContainer,
    frames: Iterable[I420Frame],
    video: VideoFormat,
    quality: Quality,
    threads: int,
) -> Iterator[Packet]:
    options = {
        "profile": "4444",
        "vendor": "apl0",
        "flags": "+qscale",
        "global_quality": str(_PRORES[quality] * _LAMBDA),
        "alpha_bits": "16" if video.transparent else "0",
    }
    stream = container.add_stream("prores_ks", rate=video.fps, options=options)
    describe_video(stream.codec_context, video, "yuva444p10le" if video.transparent else "yuv444p10le")
    stream.codec_context.color_range = ColorRange.MPEG  # ProRes knows no other
    stream.codec_context.thread_count = threads
    deep = _Deep(video.layout, video.transparent)
    yield from _encoded_by(stream.encode, frames, video, deep.picture)


class _Deep:
    """Makes 10-bit pictures without subsampling of frames."""

    def __init__(self, layout: FrameLayout, transparent: bool) -> None:
        self._layout, self._transparent = layout, transparent
        self._reformatter = VideoReformatter()

    def picture(self, frame: I420Frame) -> av.VideoFrame:
        layout = self._layout
        deep = self._reformatter.reformat(
            wrap_picture(frame[: layout.frame_bytes], layout),
            format="yuva444p10le" if self._transparent else "yuv444p10le",
            src_color_range=ColorRange.JPEG if layout.color.range == "full" else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
            threads=1,
        )
        if self._transparent:
            plane = deep.planes[3]
            rows = np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, plane.line_size // 2)
            alpha = frame[layout.frame_bytes :].reshape(layout.height, layout.width).astype(np.uint32)
            rows[:, : layout.width] = (alpha * 1023 + 127) // 255
        return deep


def _encoded_by(
    encode: Callable[[av.VideoFrame | None], list[Packet]],
    frames: Iterable[I420Frame],
    video: VideoFormat,
    picture_of: Callable[[I420Frame], av.VideoFrame] | None = None,
) -> Iterator[Packet]:
    for index, frame in enumerate(frames):
        picture = picture_of(frame) if picture_of else wrap_picture(frame, video.layout)
        yield from encode(_timed(picture, index, video))
    yield from encode(None)


def _timed(picture: av.VideoFrame, index: int, video: VideoFormat) -> av.VideoFrame:
    picture.pts, picture.time_base = index, 1 / video.fps
    return picture


def _joined(
    pieces: Iterable[Path], stream: av.VideoStream, fps: Fraction
) -> Iterator[tuple[Fraction, Packet]]:
    """Yield the packets of all pieces, each with its time, seconds."""
    index = 0
    for piece in pieces:
        with av.open(str(piece)) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream, packet.time_base = stream, 1 / fps
                    packet.pts = packet.dts = index
                    packet.duration = 1
                    yield index / fps, cast(Packet, packet)
                    index += 1


def _add_sound(container: OutputContainer, sound: Sound, form: JoinedFormat) -> av.AudioStream:
    if form == "mov":
        stream = container.add_stream("pcm_s16le", rate=sound.sample_rate)
        stream.layout = sound.layout
        return stream
    stream = container.add_stream("libopus", rate=_OPUS_RATE)
    stream.layout = _OPUS_LAYOUTS.get(sound.layout, sound.layout)
    stream.bit_rate = sound.channels * _OPUS_BITS
    return stream


def _encoded(stream: av.AudioStream, sound: Sound, alive: Alive) -> Iterator[tuple[Fraction, Packet]]:
    """Yield the packets of a sound, each with its time, seconds."""
    context = stream.codec_context
    resampler = av.AudioResampler(context.format, context.layout, context.rate, context.frame_size or None)
    for frame in chain(_track(sound, alive), [None]):
        for resampled in resampler.resample(frame):
            yield from _stamped(stream.encode(resampled))
    yield from _stamped(stream.encode(None))


def _stamped(packets: Iterable[Packet]) -> Iterator[tuple[Fraction, Packet]]:
    for packet in packets:
        assert packet.pts is not None
        yield packet.pts * packet.time_base, packet


def _track(sound: Sound, alive: Alive) -> Iterator[av.AudioFrame]:
    for start in range(0, sound.samples, _BLOCK):
        alive()
        samples = np.ascontiguousarray(sound.read_track(start, start + _BLOCK)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "s16", sound.layout)
        frame.sample_rate, frame.time_base = sound.sample_rate, Fraction(1, sound.sample_rate)
        frame.pts = start
        yield frame
