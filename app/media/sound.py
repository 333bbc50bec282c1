"""Audio decoding: one pass over the file writes what the MP4 and the mel need, as raw PCM on disk.

Only one decoded frame is in memory, so an hour of audio costs what ten seconds cost. The first sample of an
audio file is time zero, whatever the container says about its start; the audio of a video starts with its
pictures. Gaps in the timestamps become silence, so the length is what a player shows.
"""

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.fifo import AudioFifo
from av.audio.layout import AudioLayout

from app.errors import NoSound, NotAudio, UnsupportedMedia
from app.media.channels import with_places
from app.media.containers import decode_stream
from app.media.files import replacing
from app.media.limits import AudioLimits, check_length, check_sound
from app.media.ogg_chain import ogg_links
from app.media.probe import (
    announced,
    check_announced,
    check_complete,
    open_audio,
    packet_seconds,
    pictures_begin,
)
from app.media.sound_clock import SoundClock
from app.media.sound_levels import BLOCK_SECONDS, Blocks, measure
from app.notices import Notice, NoticeCode, notice
from app.progress import Alive, nothing
from app.volume import Growth

TrackSamples = npt.NDArray[np.int16]
"""int16 (samples, channels), interleaved, at the caller's own sample rate."""

SpeechSamples = npt.NDArray[np.float32]
"""float32 (samples,), mono, 16 kHz, finite, nominally within -1..1."""

SPEECH_RATE: Final = 16000
"""Sample rate on which Wav2Lip's mel is defined."""

_AAC_RATES: Final = frozenset(
    {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
)
"""Sampling frequencies of ISO/IEC 14496-3, table 1.18; sound of another rate is resampled."""
_OTHER_RATE: Final = 48000

_AAC_LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "5.1", 8: "5.1"}
"""Channel count to the layout that is made of it: those with a channel configuration of their own in AAC that
every player knows."""
_OTHER_LAYOUT: Final = "stereo"

_DOWNMIX: Final = {"rematrix_maxval": "1.0"}
"""Mixing down is an average, for floats as for integers: the mel's level must not depend on the channels."""

_NOTED_LATE: Final = Fraction(1, 10)
"""Sound that begins this much before or after the pictures, seconds, is worth a word; priming is not."""

_PADDING: Final = Fraction(1, 10)
"""Packets hold up to so much more than is heard, an encoder's priming and padding: that is not left out."""

_PIECES_A_SECOND: Final = 5
"""In how many pieces a second of sound is converted."""

_MOST: Final = float(1 << 15)
"""Samples as floats go to 1, or this far in files on the scale of 16 bits; more is none of a sound's."""

TRACK_BYTES: Final = 2
SPEECH_BYTES: Final = 4
"""Bytes of a sample in the two files, of one channel."""


@dataclass(frozen=True)
class Sound:
    """Decoded sound on disk; plain data, so that it can be stored as JSON and made again from it.

    ``samples`` and ``speech_samples`` are the lengths of the two files, ``duration`` the track's in seconds.
    """

    track_path: str
    speech_path: str
    sample_rate: int
    channels: int
    layout: str
    samples: int
    speech_samples: int
    duration: float
    notices: list[Notice] = field(default_factory=list)
    """What the caller should know of the recording."""
    cut: bool = False
    """Whether decoding ended where the sound is used no further."""
    left_out: float = 0.0
    """How many seconds follow then in the recording, by its packets."""

    @property
    def whole(self) -> float:
        """How long the recording is, seconds."""
        return self.duration + self.left_out

    def read_track(self, start: int, stop: int) -> TrackSamples:
        """Return samples ``start`` to ``stop`` of the track, as many of them as there are."""
        start, stop = max(0, start), min(stop, self.samples)
        count = max(0, stop - start) * self.channels
        offset = start * self.channels * TRACK_BYTES
        return np.fromfile(self.track_path, "<i2", count, offset=offset).reshape(-1, self.channels)

    def lasting(self, seconds: float | Fraction) -> "Sound":
        """Return the sound cut to so many ``seconds``, or followed by silence for as long as it lacks."""
        samples, speech_samples = round(seconds * self.sample_rate), round(seconds * SPEECH_RATE)
        _lengthen(self.track_path, samples * self.channels * TRACK_BYTES)
        _lengthen(self.speech_path, speech_samples * SPEECH_BYTES)
        duration = samples / self.sample_rate
        return replace(self, samples=samples, speech_samples=speech_samples, duration=duration)

    def speech_sha256(self) -> str:
        """Return the SHA-256 of the 16 kHz sound, in hex."""
        with open(self.speech_path, "rb") as file:  # noqa: PTH123 - the path is plain data
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read_speech(self, start: int, stop: int) -> SpeechSamples:
        """Return samples ``start`` to ``stop`` of the 16 kHz mono sound, as many of them as there are."""
        start, stop = max(0, start), min(stop, self.speech_samples)
        return np.fromfile(self.speech_path, "<f4", max(0, stop - start), offset=start * SPEECH_BYTES)


def _lengthen(path: str, size: int) -> None:
    """Have a file be so long at least; what is added is zeros, and takes no room on the disk."""
    with Path(path).open("r+b") as file:  # a locked process may not change a file's length by its path
        if os.fstat(file.fileno()).st_size < size:
            file.truncate(size)


def decode_sound(
    path: Path,
    limits: AudioLimits,
    track_path: Path,
    speech_path: Path,
    alive: Alive = nothing,
) -> Sound:
    """Decode the sound of ``path`` into the two raw files and describe them.

    ``track_path`` gets interleaved little-endian s16, ``speech_path`` float32 mono at 16 kHz: the mix of the
    channels, or the strongest one where they cancel each other. Of what comes after ``limits.used_seconds``,
    little more than a fifth of a second is decoded. ``alive`` is called meanwhile and may raise to stop the
    work. Raises NotAudio, NoSound, MediaTooLong, TooManyFrames, StorageFull.
    """
    clock = SoundClock(limits)
    with ExitStack() as stack:
        files = [stack.enter_context(_writing(file)) for file in (track_path, speech_path)]
        frames = _frames(path, clock, alive)
        first = next(frames, None)
        if first is None:
            raise _empty(clock)
        rate = first.sample_rate if first.sample_rate in _AAC_RATES else _OTHER_RATE
        layout = _AAC_LAYOUTS.get(first.layout.nb_channels, _OTHER_LAYOUT)
        growth = Growth(track_path.parent)
        track = _Output(files[0], growth, "s16", layout, rate)
        speech = _Speech(files[1], growth)
        for frame in _gathered(chain([first], frames), alive):
            track.write(frame)
            speech.write(frame)
            check_length(Fraction(track.samples, rate), limits)
            if limits.used_seconds is not None and track.samples >= limits.used_seconds * rate:
                break
        frames.close()
        track.finish()
        speech.finish()
    if not track.samples:  # too short to be resampled
        raise _empty(clock)
    decoded, used = Fraction(track.samples, rate), limits.used_seconds
    cut = used is not None and decoded >= used
    rest = _rest(path, decoded, clock, alive) if cut and limits.counts_rest else Fraction(0)
    sound = Sound(
        track_path=str(track_path),
        speech_path=str(speech_path),
        sample_rate=rate,
        channels=AudioLayout(layout).nb_channels,
        layout=layout,
        samples=track.samples,
        speech_samples=speech.samples,
        duration=track.samples / rate,
        notices=_clock_notices(clock),
        cut=cut,
        left_out=float(rest),
    )
    return _examined(sound, alive)


def _empty(clock: SoundClock) -> NoSound:
    if clock.late < 0:
        return NoSound("The audio ends before the video's first picture. Send it by itself.")
    return NoSound("The audio track is empty. Send one that contains speech.")


def _gathered(frames: Iterator[av.AudioFrame], alive: Alive) -> Iterator[av.AudioFrame]:
    """Yield the sound of ``frames`` in longer ones, of which fewer are to be converted.

    Raises NotAudio for sound that is not read.
    """
    fifo, form, length = AudioFifo(), None, 0
    for frame in frames:
        alive()
        check_sound(frame.sample_rate, frame.layout.nb_channels)
        if form != _form(frame):
            yield from fifo.read_many(length, partial=True)
            fifo, form, length = AudioFifo(), _form(frame), frame.sample_rate // _PIECES_A_SECOND
        frame.pts = None
        fifo.write(frame)
        yield from fifo.read_many(length)
    yield from fifo.read_many(length, partial=True)


def _rest(path: Path, decoded: Fraction, clock: SoundClock, alive: Alive) -> Fraction:
    """Return how long a sound goes on after what was decoded of it, by its packets, seconds.

    Raises what :func:`check_length` does if it is too long as a whole.
    """
    whole = clock.gaps + clock.late
    parts: list[range | None] = [*ogg_links(path, alive)]
    for part in parts or [None]:
        with suppress(UnsupportedMedia, NoSound):  # a damaged link, as below
            whole += packet_seconds(path, part, alive)
    check_length(whole, clock.limits)
    rest = whole - decoded
    return rest if rest >= _PADDING else Fraction(0)


def _frames(path: Path, clock: SoundClock, alive: Alive) -> Generator[av.AudioFrame, None, None]:
    """Yield the frames of a file, or of all links of a chained one, with silence where the clock jumps."""
    links = ogg_links(path, alive)
    for number, part in enumerate(links or [None]):
        try:
            with open_audio(path, part) as (container, stream):
                check_complete(container, stream, NotAudio)
                check_announced(announced(container, stream), clock.limits, path, part, alive)
                begin = pictures_begin(path, part)
                decoded = with_places(decode_stream(container, stream))
                yield from clock.place(decoded, container.format.name, begin)
        except (UnsupportedMedia, NoSound):
            if not number:
                raise  # a later link that is damaged is skipped, as a damaged packet is


def _clock_notices(clock: SoundClock) -> list[Notice]:
    told = []
    if clock.late <= -_NOTED_LATE:
        early = -float(clock.late)
        detail = f"The first {early:.2f} s of the audio come before the first picture and are left out."
        told.append(notice(NoticeCode.EARLY_SOUND, detail, early))
    if clock.late >= _NOTED_LATE:
        detail = f"The audio starts {float(clock.late):.2f} s after the video; silence fills the gap."
        told.append(notice(NoticeCode.LATE_SOUND, detail, float(clock.late)))
    if clock.gaps:
        detail = f"The recording has gaps of {float(clock.gaps):.2f} s in total; silence fills them."
        told.append(notice(NoticeCode.GAPS_IN_SOUND, detail, float(clock.gaps)))
    return told


def _examined(sound: Sound, alive: Alive) -> Sound:
    """Look at the levels; where the channels cancel each other, write the speech again from one of them."""
    levels = measure(_blocks(sound, alive), sound.sample_rate)
    if levels.solo is not None:
        with _writing(Path(sound.speech_path)) as file:
            speech = _Speech(file, Growth(Path(sound.speech_path).parent))
            for track, _ in _blocks(sound, alive):
                samples = np.ascontiguousarray(track[:, levels.solo])[None]
                frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
                frame.sample_rate = sound.sample_rate
                speech.write(frame)
            speech.finish()
        sound = replace(sound, speech_samples=speech.samples)
    return replace(sound, notices=sound.notices + levels.notices())


def _blocks(sound: Sound, alive: Alive) -> Blocks:
    """Yield the track and the speech second by second."""
    length, speech_length = round(BLOCK_SECONDS * sound.sample_rate), round(BLOCK_SECONDS * SPEECH_RATE)
    for number in range(ceil(sound.samples / length)):
        alive()
        yield (
            sound.read_track(number * length, (number + 1) * length),
            sound.read_speech(number * speech_length, (number + 1) * speech_length),
        )


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


_Form = tuple[str, str, int]


def _form(frame: av.AudioFrame) -> _Form:
    return frame.format.name, frame.layout.name, frame.sample_rate


class _Output:
    """Converts decoded frames to one format and appends them to a file."""

    def __init__(self, file: BinaryIO, growth: Growth, sample_format: str, layout: str, rate: int) -> None:
        self._file = file
        self._growth = growth
        self._target = (sample_format, layout, rate)
        self._source: _Form | None = None
        self._resampler: av.AudioResampler | None = None
        self.samples = 0

    def write(self, frame: av.AudioFrame) -> None:
        """Append ``frame``; the source may change its format on the way, as a broadcast does."""
        if _form(frame) != self._source:
            self.finish()
            self._source = _form(frame)
            self._resampler = av.AudioResampler(*self._target, options=_DOWNMIX)
        frame.pts = None
        self._convert(frame)

    def finish(self) -> None:
        """Append what the resampler still holds."""
        self._convert(None)

    def _convert(self, frame: av.AudioFrame | None) -> None:
        if self._resampler is None:
            return
        for converted in self._resampler.resample(frame):
            if converted is not None:  # what a resampler without work returns for the flush
                data = self._data(converted.to_ndarray())
                self._growth.add(len(data))
                self._file.write(data)
                self.samples += converted.samples

    def _data(self, samples: npt.NDArray[Any]) -> bytes:
        return samples.tobytes()


class _Speech(_Output):
    """Has silence where a file of floats has infinity, no number, or one that is beyond all measure."""

    def __init__(self, file: BinaryIO, growth: Growth) -> None:
        super().__init__(file, growth, "flt", "mono", SPEECH_RATE)

    def _data(self, samples: npt.NDArray[Any]) -> bytes:
        return np.where(np.abs(samples) <= _MOST, samples, np.float32(0)).tobytes()
