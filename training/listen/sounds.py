"""What else training does to the sound of a voice: speed, tilt, room, background, clipping."""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.loudness import TARGET_LEVEL
from app.media.sound import SPEECH_RATE, SpeechSamples
from training.listen.quiet import colored_noise, quiet_sound

Random = np.random.Generator

_FASTEST: Final = 0.12
"""Speed and pitch together, up to 12 % faster or slower."""
_TILT_DB: Final = 6.0
"""Decibels an octave at most, about 1 kHz."""
_REVERBERATION: Final = (0.1, 0.5)
"""Seconds until a room's echo is 60 dB down."""
_ECHO: Final = (0.1, 0.6)
"""Share of the echo beside the voice."""
_NOISE_DB: Final = (8.0, 35.0)
_MUSIC_DB: Final = (3.0, 25.0)
"""By how much a voice is louder than what is behind it."""
_OVERDRIVE_DB: Final = (6.0, 30.0)
"""Above the level of speech: what is beyond full scale is cut off."""


def draw_speed(rng: Random) -> float:
    """Return how many times as fast a voice is played."""
    return 1 + float(rng.uniform(-_FASTEST, _FASTEST))


def played_at(samples: SpeechSamples, speed: float) -> SpeechSamples:
    """Return the sound played ``speed`` times as fast, its pitch changed with it."""
    places = np.arange(int(len(samples) / speed)) * speed
    played: SpeechSamples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    return played


def revoiced(samples: SpeechSamples, rng: Random) -> SpeechSamples:
    """Return a voice as another microphone in another room, before another background, would have it."""
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(2 * len(samples), 1 / SPEECH_RATE), 60) / 1000)
    spectrum *= 10 ** (rng.uniform(-_TILT_DB, _TILT_DB) * octaves / 2 / 20)
    if rng.random() < 0.5:
        spectrum *= _room(rng, 2 * len(samples))
    if rng.random() < 0.3:
        spectrum *= _band(rng, len(spectrum))
    voice = np.fft.irfft(spectrum)[: len(samples)]
    loud = float(np.sqrt(np.square(voice).mean())) + 1e-9
    if rng.random() < 0.6:
        voice = voice + loud * _background(rng, len(voice))
    if rng.random() < 0.25:
        drive = 10 ** (rng.uniform(*_OVERDRIVE_DB) / 20) * TARGET_LEVEL / loud
        voice = np.clip(voice * drive, -1, 1)
    return np.asarray(voice, np.float32)


def _room(rng: Random, size: int) -> npt.NDArray[np.complex128]:
    """Return the spectrum of an echo that dies away."""
    count = min(size // 2, SPEECH_RATE // 2)
    decay = np.exp(-6.9 * np.arange(count) / SPEECH_RATE / rng.uniform(*_REVERBERATION))
    echo = rng.standard_normal(count) * decay
    echo *= rng.uniform(*_ECHO) / np.sqrt(np.square(echo).sum())
    echo[0] += 1
    return np.fft.rfft(echo, size)


def _band(rng: Random, count: int) -> npt.NDArray[np.float64]:
    """Return what a telephone or a codec leaves of the frequencies."""
    hertz = np.linspace(0, SPEECH_RATE / 2, count)
    low, high = rng.uniform(0, 300), rng.uniform(3000, 7500)
    return 1 / (1 + (low / np.maximum(hertz, 1)) ** 4) / (1 + (hertz / high) ** 12)


def _background(rng: Random, count: int) -> npt.NDArray[np.float64]:
    """Return noise or music, in amplitudes of the voice before it."""
    if rng.random() < 0.5:
        sound, below = colored_noise(rng, count), rng.uniform(*_NOISE_DB)
    else:
        sound, below = quiet_sound(rng, count), rng.uniform(*_MUSIC_DB)
    loud = np.sqrt(np.square(sound).mean()) + 1e-6
    return np.asarray(sound / loud * 10 ** (-below / 20))
