"""The clock of an audio stream: where timestamps jump forward, nothing was recorded, and players are silent.

Voice over IP leaves packets out (DTX, losses), and recorders pause. Decoders return only the samples that
exist; concatenated, they are too early and too short. This module fills the gaps with silence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Final

import av
from av.audio.fifo import AudioFifo

from app.media.channels import planes_of
from app.media.limits import AudioLimits, check_length
from app.media.timing import is_other_clock

_TOLERANCE: Final = Fraction(15, 1000)
"""Being late by less is no hole: clocks count milliseconds, and those of Vorbis, whose blocks change their
size, are 10 ms off and back. The shortest packets that voice leaves out have 20 ms."""
_STEP: Final = Fraction(5, 1000)
"""A clock that is late without a step of this size drifts; nothing is missing there."""
_BACK: Final = Fraction(1, 2)
"""A clock that goes back by more has restarted, as in recordings joined end to end."""
_PIECE: Final = 4096
"""Samples of a frame of silence."""

_Timed = tuple[av.AudioFrame, Fraction | None]
"""A frame, and when it begins on the file's clock, seconds."""


@dataclass
class SoundClock:
    """Puts the frames of a sound where they belong; ``gaps`` and ``late`` tell the silence added, seconds.

    ``late`` is negative where sound from before the pictures was left out.
    """

    limits: AudioLimits
    gaps: Fraction = Fraction(0)
    late: Fraction = Fraction(0)
    _written: Fraction = Fraction(0)
    _origin: Fraction | None = None
    _end: Fraction = Fraction(0)

    def place(
        self, frames: Iterable[av.AudioFrame], container: str, pictures_begin: Fraction | None = None
    ) -> Iterator[av.AudioFrame]:
        """Yield the frames of a file of format ``container``, with silence where their clock jumps.

        What begins after ``pictures_begin``, on the same clock, gets silence before it, and what comes before
        is left out; with None, the first sample is the beginning. May be called again for a file that goes on
        with the sound. Raises MediaTooLong, TooManyFrames.
        """
        self._origin = None
        timed: Iterator[_Timed] = ((frame, _time(frame)) for frame in frames)
        if pictures_begin is not None:
            timed = self._beginning(timed, pictures_begin)
        for (frame, time), (after, following) in pairwise(chain(timed, [(None, None)])):
            assert frame is not None
            if after is None and "mp4" in container.split(","):
                frame = _without_padding(frame)
            length = _seconds(frame)
            if time is not None and (hole := self._hole(time, length, following, container, pictures_begin)):
                check_length(self._written + hole, self.limits)
                for silence in _silence(frame, hole):
                    self._written += _seconds(silence)
                    yield silence
            yield frame
            self._written += length
            self._end = (self._end if time is None else time) + length

    def _beginning(self, timed: Iterator[_Timed], pictures_begin: Fraction) -> Iterator[_Timed]:
        """Yield the frames without what comes before the pictures; what has no time counts as after."""
        for frame, time in timed:
            early = 0 if time is None else round((pictures_begin - time) * frame.sample_rate)
            left_out = min(max(early, 0), frame.samples)
            self.late -= Fraction(left_out, frame.sample_rate)
            if left_out == frame.samples:
                continue
            yield (frame, time) if not left_out else (_end_of(frame, left_out), pictures_begin)
            yield from timed

    def _hole(
        self,
        time: Fraction,
        length: Fraction,
        following: Fraction | None,
        container: str,
        pictures_begin: Fraction | None,
    ) -> Fraction:
        """Return how much silence goes before a frame of this ``time`` and ``length``, seconds."""
        if self._origin is None:
            lateness = Fraction(0) if pictures_begin is None else max(Fraction(0), time - pictures_begin)
            self._origin = time - lateness - self._written
            self.late += lateness
            return lateness
        expected, step = self._origin + self._written, time - self._end
        hole = time - expected
        if is_other_clock(hole, container) or step < -_BACK:
            self._origin = time - self._written
            return Fraction(0)
        if step < _STEP:
            return Fraction(0)
        if following is not None:
            hole = min(hole, following - length - expected)
        if hole <= _TOLERANCE:
            return Fraction(0)
        self.gaps += hole
        return hole


def _without_padding(frame: av.AudioFrame) -> av.AudioFrame:
    """Return a sound's last frame as long as its file says: with AAC, the rest is the encoder's padding."""
    heard = round((frame.duration or 0) * (frame.time_base or 0) * frame.sample_rate)
    if not 0 < heard < frame.samples:
        return frame
    fifo = AudioFifo()
    frame.pts = None
    fifo.write(frame)
    shown = fifo.read(heard)
    assert shown is not None
    return shown


def _end_of(frame: av.AudioFrame, left_out: int) -> av.AudioFrame:
    """Return a frame without so many of its first samples."""
    fifo = AudioFifo()
    frame.pts = None
    fifo.write(frame)
    fifo.read(left_out)
    rest = fifo.read()
    assert rest is not None
    return rest


def _time(frame: av.AudioFrame) -> Fraction | None:
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def _seconds(frame: av.AudioFrame) -> Fraction:
    return Fraction(frame.samples, frame.sample_rate)


def _silence(like: av.AudioFrame, seconds: Fraction) -> Iterator[av.AudioFrame]:
    """Yield frames of silence in the format of ``like``, ``seconds`` in all, to the nearest sample."""
    zero = b"\x80" if like.format.name.startswith("u8") else b"\0"
    left = round(seconds * like.sample_rate)
    while left:
        frame = av.AudioFrame(like.format.name, like.layout.name, min(left, _PIECE))
        frame.sample_rate = like.sample_rate
        for plane in planes_of(frame):
            plane.update(zero * plane.buffer_size)
        left -= frame.samples
        yield frame
