"""The video's own sound under the new one, quieter while somebody speaks: FFmpeg's sidechain compressor."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.error import BlockingIOError as NothingYet
from av.filter import Graph

from app.media.files import replacing
from app.media.sound import SPEECH_RATE, Sound, TrackSamples
from app.progress import Alive

_DUCKING: Final = "threshold=0.02:ratio=8:attack=20:release=500"
"""Speech is well above the threshold, -34 dB, and then leaves a sixth of the sound under it; ms."""
_FADE_SECONDS: Final = Fraction(1, 100)
"""Sound that begins or breaks off in the middle is faded for so long, or it would click."""


@dataclass(frozen=True)
class Span:
    """A stretch of the result and where its own sound comes from: seconds of the video; None: silence."""

    seconds: Fraction
    begin: Fraction | None


def mixed(sound: Sound, own: Sound, spans: Iterable[Span], level: float, path: Path, alive: Alive) -> Sound:
    """Write ``sound`` with ``own`` under it to ``path``, whole or not at all, and return the mixture.

    ``own`` is taken as ``spans`` say, ``level`` (0..1) as loud as it is, and less while ``sound`` has speech.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        for samples in _mixed(sound, _laid(own, spans, sound.channels), own.sample_rate, level, alive):
            file.write(samples.tobytes())
    return replace(sound, track_path=str(path))


def _mixed(
    sound: Sound, own: Iterator[TrackSamples], own_rate: int, level: float, alive: Alive
) -> Iterator[TrackSamples]:
    rate, layout = sound.sample_rate, sound.layout
    graph = Graph()
    heard = _source(graph, rate, "s16", layout)
    speech = _source(graph, SPEECH_RATE, "flt", "mono")
    under = _source(graph, own_rate, "s16", layout)
    fine = f"sample_fmts=fltp:sample_rates={rate}"
    quieter = _chain(under, graph.add("aformat", fine), graph.add("volume", f"{level}:precision=float"))
    ducked = graph.add("sidechaincompress", _DUCKING)
    mix = graph.add("amix", "inputs=2:duration=first:normalize=0")
    sink = graph.add("abuffersink")
    quieter.link_to(ducked, 0, 0)
    _chain(speech, graph.add("aformat", fine)).link_to(ducked, 0, 1)
    heard.link_to(mix, 0, 0)
    ducked.link_to(mix, 0, 1)
    _chain(mix, graph.add("aformat", f"sample_fmts=s16:sample_rates={rate}:channel_layouts={layout}"), sink)
    graph.configure()
    rest = _Pieces(own)
    for second in range(ceil(sound.duration)):
        alive()
        words = sound.read_speech(second * SPEECH_RATE, (second + 1) * SPEECH_RATE)[:, None]
        _push(heard, sound.read_track(second * rate, (second + 1) * rate), rate, layout, second)
        _push(speech, words, SPEECH_RATE, "mono", second)
        _push(under, rest.take(own_rate), own_rate, layout, second)
        yield from _pulled(sink)
    for source in (heard, speech, under):
        source.push(None)
    yield from _pulled(sink)


def _source(graph: Graph, rate: int, sample_format: str, layout: str) -> Any:
    return graph.add_abuffer(
        sample_rate=rate, format=sample_format, layout=layout, time_base=Fraction(1, rate)
    )


def _chain(*filters: Any) -> Any:
    for one, other in pairwise(filters):
        one.link_to(other)
    return filters[-1]


def _push(source: Any, samples: Any, rate: int, layout: str, second: int) -> None:
    """Hand a second of sound on, or what there is of it: of the last one there may be nothing."""
    if not len(samples):
        return
    sample_format = "s16" if samples.dtype == np.int16 else "flt"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), sample_format, layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, second * rate, Fraction(1, rate)
    source.push(frame)


def _pulled(sink: Any) -> Iterator[TrackSamples]:
    while True:
        try:
            yield sink.pull().to_ndarray()
        except (NothingYet, av.error.EOFError):
            return


class _Pieces:
    """Samples that come in pieces of any length, taken so many at a time; then silence."""

    def __init__(self, pieces: Iterator[TrackSamples]) -> None:
        self._pieces = pieces
        self._rest: TrackSamples | None = None

    def take(self, count: int) -> TrackSamples:
        gathered = [] if self._rest is None else [self._rest]
        while sum(map(len, gathered)) < count:
            piece = next(self._pieces, None)
            if piece is None:
                gathered.append(np.zeros((count, gathered[0].shape[1] if gathered else 1), np.int16))
            else:
                gathered.append(piece)
        whole = np.concatenate(gathered)
        self._rest = whole[count:]
        return whole[:count]


def _laid(own: Sound, spans: Iterable[Span], channels: int) -> Iterator[TrackSamples]:
    """Yield the own sound as it lies under the result, in ``channels``, a second at most at a time."""
    rate, fade = own.sample_rate, round(_FADE_SECONDS * own.sample_rate)
    done = Fraction(0)
    for span in spans:
        count = round((done + span.seconds) * rate) - round(done * rate)
        done += span.seconds
        begin = own.samples if span.begin is None else round(span.begin * rate)
        for start in range(0, count, rate):
            stop = min(start + rate, count)
            piece = np.zeros((stop - start, channels), np.int16)
            samples = _in_channels(own.read_track(begin + start, begin + stop), channels)
            piece[: len(samples)] = samples
            places = np.arange(start, stop)
            gain = np.minimum(places + 1, count - places) / fade
            yield np.rint(piece * np.clip(gain, 0, 1)[:, None]).astype(np.int16)


def _in_channels(samples: TrackSamples, channels: int) -> TrackSamples:
    if samples.shape[1] == channels:
        return samples
    mono = samples.mean(axis=1, keepdims=True)
    return np.repeat(np.rint(mono).astype(np.int16), channels, axis=1)
