"""What the encoder makes of the sounds of training, in windows as the service lays them.

Where a window begins depends, in the service, on the time within the whole sound; a clip of training may be
from anywhere in one. So each copy of a clip has something before it, of random length: silence, or a voice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from app.audio.logmel import FFT_SIZE, HOP, LogMel, signal_log_mel
from app.audio.loudness import TARGET_LEVEL, block_levels, gain_of
from app.media.sound import SPEECH_RATE, SpeechSamples
from training.listen.quiet import kinds_of_quiet, quiet_of
from training.listen.settings import ListenSettings
from training.listen.sounds import draw_speed, played_at, revoiced
from training.listen.talks import FrameTimes, Progress, Talk
from training.networks.ear import AFTER, BEFORE
from training.networks.whisper import WhisperEncoder

Rows = npt.NDArray[np.float16]
"""float16 (rows, dims): what the encoder makes of sounds, 50 rows a second."""

RowIndices = npt.NDArray[np.int64]
"""int64 (n,): places in :data:`Rows`."""

ROWS_PER_SECOND = 50
_COLUMNS, _ROW_SAMPLES = 2, 2 * HOP


@dataclass(frozen=True)
class Features:
    """One copy of all sounds. ``zero`` is the row at each sound's time 0, ``speed`` how fast it is played."""

    rows: Rows
    zero: RowIndices
    speed: npt.NDArray[np.float64]

    def places(self, index: int, times: FrameTimes) -> RowIndices:
        """Return the rows nearest to ``times`` of a sound."""
        offsets = np.rint(times * ROWS_PER_SECOND / self.speed[index]).astype(np.int64)
        return np.asarray(self.zero[index] + offsets)


def talk_features(
    talks: Sequence[Talk],
    encoder: WhisperEncoder,
    settings: ListenSettings,
    copy: int,
    progress: Progress = lambda done, of: None,
) -> Features:
    """Return a copy of the talks' sounds: copy 0 as they are, others changed; all after something else."""
    sets = {name: [talk for talk in talks if talk.set == name] for name in {talk.set for talk in talks}}
    sounds, speeds = [], []
    for index, talk in enumerate(talks):
        rng = np.random.default_rng((settings.seed, copy, index))
        speed = draw_speed(rng) if copy else 1.0
        samples = revoiced(played_at(talk.samples, speed), rng) if copy else talk.samples
        samples = samples * gain_of(block_levels(samples)) * _jitter(rng, copy)
        sounds.append((samples, _before(rng, sets[talk.set])))
        speeds.append(speed)
    return _encoded(sounds, speeds, encoder, settings, progress)


def quiet_features(
    encoder: WhisperEncoder, settings: ListenSettings, recordings: Sequence[SpeechSamples] = ()
) -> Features:
    """Return the sounds in which nobody speaks, made and recorded, from loud to faint."""
    sounds = [
        (part, np.zeros(0, np.float32))
        for index, recording in enumerate(recordings)
        for part in _parts(recording, np.random.default_rng((settings.seed, 1 << 21, index)), settings)
    ]
    for index in range(settings.silent_sounds):
        rng = np.random.default_rng((settings.seed, 1 << 20, index))
        kinds = kinds_of_quiet()
        sound = quiet_of(kinds[index % len(kinds)], rng, 3 * SPEECH_RATE)
        faint = 10 ** (min(0.0, rng.uniform(-40, 20)) / 20)
        sounds.append((np.asarray(sound * faint, np.float32), np.zeros(0, np.float32)))
    return _encoded(sounds, [1.0] * len(sounds), encoder, settings)


def _parts(
    recording: SpeechSamples, rng: np.random.Generator, settings: ListenSettings
) -> Iterable[SpeechSamples]:
    """Yield pieces of a recording, levelled as the service does, some then fainter or louder."""
    size = 3 * SPEECH_RATE
    starts = np.arange(0, max(len(recording) - SPEECH_RATE, 0), size)
    levelled = recording * np.float32(gain_of(block_levels(recording)))
    for start in rng.permutation(starts)[: settings.recorded_parts]:
        yield levelled[start : start + size] * np.float32(10 ** (rng.uniform(-15, 9) / 20))


def served_rows(samples: SpeechSamples, encoder: WhisperEncoder, settings: ListenSettings) -> Features:
    """Return the rows of one sound exactly as the service has them."""
    levelled = samples * np.float32(gain_of(block_levels(samples)))
    return _encoded([(levelled, np.zeros(0, np.float32))], [1.0], encoder, settings)


def _jitter(rng: np.random.Generator, copy: int) -> np.float32:
    """Return by what the level of a copy is off: it is measured on seconds here, on whole sounds there."""
    return np.float32(10 ** (rng.uniform(-8, 6) / 20) if copy else 1.0)


def _before(rng: np.random.Generator, others: list[Talk]) -> SpeechSamples:
    """Return what is heard before a clip: silence, faint noise, or the end of another clip."""
    count = int(rng.integers(0, 3 * SPEECH_RATE))
    kind = rng.integers(3)
    silence = np.zeros(count, np.float32)
    if kind == 0:
        return silence
    if kind == 1:
        return (TARGET_LEVEL * 10 ** rng.uniform(-2.5, -1) * rng.standard_normal(count)).astype(np.float32)
    voice = others[rng.integers(len(others))].samples
    voice = voice[max(0, len(voice) - count) :]
    return np.concatenate([silence[len(voice) :], voice * np.float32(gain_of(block_levels(voice)))])


def _encoded(
    sounds: Iterable[tuple[SpeechSamples, SpeechSamples]],
    speeds: list[float],
    encoder: WhisperEncoder,
    settings: ListenSettings,
    progress: Progress = lambda done, of: None,
) -> Features:
    """Encode (sound, what is before it): rows BEFORE its time 0 to AFTER its end."""
    rows, zero, count = [], [], 0
    for done, (samples, before) in enumerate(sounds, start=1):
        start = len(before) // _ROW_SAMPLES
        whole = np.concatenate([before[len(before) - start * _ROW_SAMPLES :], samples])
        first, last = start - BEFORE, start + len(samples) // _ROW_SAMPLES + AFTER + 1
        rows.append(_stretch(whole, first, last, encoder, settings))
        zero.append(count + BEFORE)
        count += len(rows[-1])
        progress(done, len(speeds))
    return Features(np.concatenate(rows), np.array(zero), np.array(speeds))


def _stretch(
    samples: SpeechSamples, first: int, last: int, encoder: WhisperEncoder, settings: ListenSettings
) -> Rows:
    """Return rows ``first`` to ``last`` of a sound, from the windows of the service's grid."""
    past, piece, ahead = settings.past, settings.piece, settings.ahead
    begin, end = first // piece, -(-last // piece)
    mel = _padded_mel(samples, begin * piece - past, end * piece + ahead)
    size = _COLUMNS * (past + piece + ahead)
    places = range(0, (end - begin) * piece * _COLUMNS, piece * _COLUMNS)
    windows = torch.from_numpy(np.stack([mel[:, place : place + size] for place in places]))
    with torch.inference_mode():
        heard = encoder(windows)[:, past : past + piece]
    flat = heard.reshape(-1, heard.shape[-1])[first - begin * piece : last - begin * piece]
    return np.asarray(flat.numpy(), np.float16)


def _padded_mel(samples: SpeechSamples, first: int, last: int) -> LogMel:
    """Return the log-mel of rows ``first`` to ``last``, zeros outside of the sound."""
    signal = np.zeros((last - first) * _ROW_SAMPLES - HOP + FFT_SIZE)
    begin = first * _ROW_SAMPLES - FFT_SIZE // 2
    low, high = max(0, begin), min(len(samples), begin + len(signal))
    if low < high:
        signal[low - begin : high - begin] = samples[low:high]
    return signal_log_mel(signal)
