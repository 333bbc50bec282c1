"""Sound files of the kinds that recorders, browsers and radios write, made by code."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]
"""float32 (channels, samples), -1..1."""


def write_sound(
    path: Path,
    signal: Signal,
    rate: int,
    codec: str,
    layout: str = "mono",
    *,
    start: float = 0.0,
    lost: Callable[[float], bool] = lambda seconds: False,
) -> Path:
    """Encode ``signal``, beginning at ``start`` seconds, without the packets whose time is ``lost``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        resampler = av.AudioResampler(stream.format, layout, rate, stream.codec_context.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(signal, np.float32), "fltp", layout)
        frame.sample_rate, frame.pts = rate, round(start * rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            for packet in stream.encode(piece):
                if packet.pts is None or not lost(float(packet.pts * packet.time_base)):
                    container.mux(packet)
    return path


def add_sound(video: Path, path: Path, signal: Signal, rate: int, start: float) -> Path:
    """Copy ``video`` to ``path`` with a PCM track that begins ``start`` seconds after the pictures."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        pictures = target.add_stream_from_template(source.streams.video[0], opaque=True)
        sound = target.add_stream("pcm_s16le", rate=rate)
        sound.layout = "mono"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        frame = av.AudioFrame.from_ndarray((signal * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate), Fraction(1, rate)
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return path


def cut_within_a_group(video: Path, path: Path, seconds: float) -> Path:
    """Copy ``video`` from ``seconds`` on, as phones trim: earlier pictures, to a keyframe, are hidden."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or packet.pts is None:
                continue
            earlier = round(seconds / packet.time_base)
            packet.pts, packet.dts = (shown := packet.pts - earlier), packet.dts - earlier
            if shown >= 0 or isinstance(packet.stream, av.VideoStream):
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path
