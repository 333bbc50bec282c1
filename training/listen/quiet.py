"""Sounds in which nobody speaks, made by code: a mouth is to stay at rest in them."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from app.media.sound import SPEECH_RATE

Random = np.random.Generator

Wave = npt.NDArray[np.float64]
"""float64 (samples,): sound at 16 kHz, at any level."""

_CHORDS: Final = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0,), (0, 12), (0, 4, 7, 11), (0, 3, 7, 10), (0, 7))
_LOWEST_NOTE: Final = 65.4
_FORMANTS: Final = ((300, 900), (800, 2500), (2000, 4000))


def quiet_sound(rng: Random, count: int) -> Wave:
    """Return ``count`` samples of a sound of a kind that is drawn, about as loud as speech."""
    kinds = tuple(_KINDS)
    return _KINDS[kinds[rng.integers(len(kinds))]](rng, count)


def kinds_of_quiet() -> tuple[str, ...]:
    """Return the names of the kinds."""
    return tuple(_KINDS)


def quiet_of(kind: str, rng: Random, count: int) -> Wave:
    """Return a sound of the kind that is named."""
    return _KINDS[kind](rng, count)


def colored_noise(rng: Random, count: int) -> Wave:
    """Return noise of a drawn colour, some of it swelling."""
    hertz = np.fft.rfftfreq(count, 1 / SPEECH_RATE)
    slope = rng.uniform(-1.2, 0.6)
    spectrum = np.fft.rfft(rng.standard_normal(count)) * (np.maximum(hertz, 30) / 1000) ** slope
    if rng.random() < 0.4:
        centre, width = rng.uniform(200, 6000), rng.uniform(0.2, 1.0)
        spectrum *= 0.1 + np.exp(-(np.log(np.maximum(hertz, 1) / centre) ** 2) / width)
    noise = np.fft.irfft(spectrum, count)
    if rng.random() < 0.4:
        noise *= 1 + rng.uniform(0.2, 0.95) * _swell(rng, count, 0.3, 6)
    return _level(noise)


def steady_noise(rng: Random, count: int) -> Wave:
    """Return noise that stays as it is: white, pink or brown, as a fan, a street or a tape has it."""
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / SPEECH_RATE), 30)
    spectrum = np.fft.rfft(rng.standard_normal(count)) * hertz ** rng.choice([0.0, 0.0, -0.5, -1.0])
    return _level(np.fft.irfft(spectrum, count))


def _swell(rng: Random, count: int, slow: float, fast: float) -> Wave:
    time = np.arange(count) / SPEECH_RATE
    return np.asarray(np.sin(2 * np.pi * rng.uniform(slow, fast) * time + rng.uniform(0, 6)))


def _level(wave: Wave) -> Wave:
    return np.asarray(0.07 * wave / (np.sqrt(np.square(wave).mean()) + 1e-9))


def _nothing(rng: Random, count: int) -> Wave:
    return np.zeros(count)


def _changing(rng: Random, count: int) -> Wave:
    """One noise, or none, gives way to another."""
    parts = [np.zeros(count) if rng.random() < 0.4 else colored_noise(rng, count) for _ in range(2)]
    place = rng.integers(count // 4, 3 * count // 4)
    return np.concatenate([parts[0][:place], rng.uniform(0.1, 1) * parts[1][place:]])


def _hum(rng: Random, count: int) -> Wave:
    time = np.arange(count) / SPEECH_RATE
    base = rng.choice([50.0, 60.0, 100.0, rng.uniform(40, 400)])
    tones = [
        np.sin(2 * np.pi * base * k * time + rng.uniform(0, 6)) / k for k in range(1, rng.integers(2, 14))
    ]
    return _level(np.sum(tones, axis=0)) + 0.004 * rng.standard_normal(count)


def _clicks(rng: Random, count: int) -> Wave:
    """Keys, knocks, clapping and steps: bursts that die away, over a faint noise."""
    sound = 0.05 * colored_noise(rng, count)
    for place in rng.integers(0, max(count - 3000, 1), rng.integers(2, 25)):
        size = min(3000, count - place)
        burst = rng.standard_normal(size) * np.exp(-np.arange(size) / rng.uniform(20, 900))
        sound[place : place + size] += rng.uniform(0.05, 0.6) * burst
    return sound


def _breaths(rng: Random, count: int) -> Wave:
    """Air through a mouth that is held still: noise with two or three resonances that swells and sinks."""
    hertz = np.fft.rfftfreq(count, 1 / SPEECH_RATE)
    colour = sum(
        rng.uniform(0.3, 1) * np.exp(-(((hertz - rng.uniform(*band)) / rng.uniform(150, 700)) ** 2))
        for band in _FORMANTS
    )
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * (colour + 0.02), count)
    envelope = np.zeros(count)
    place = 0
    while place < count:
        size = int(rng.uniform(0.3, 1.2) * SPEECH_RATE)
        swell = np.sin(np.pi * np.arange(size) / size) ** rng.uniform(0.5, 2)
        envelope[place : place + size] = swell[: count - place]
        place += size + int(rng.uniform(0.1, 1.0) * SPEECH_RATE)
    return _level(noise * envelope) * rng.uniform(0.1, 1)


def _notes(rng: Random, count: int, voice: Callable[[Random, float, int], Wave]) -> Wave:
    """Return chords or single notes of an instrument, in a rhythm of its own."""
    sound = np.zeros(count)
    step = int(rng.uniform(0.12, 0.9) * SPEECH_RATE)
    held = rng.uniform(0.8, 3.0)
    key, place = rng.integers(0, 24), 0
    while place < count:
        base = _LOWEST_NOTE * 2 ** ((key + rng.choice([0, 2, 4, 5, 7, 9, 11, 12])) / 12)
        size = min(int(step * held), count - place)
        for semitones in _CHORDS[rng.integers(len(_CHORDS))]:
            sound[place : place + size] += voice(rng, base * 2 ** (semitones / 12), size)
        place += step if rng.random() < 0.8 else step // 2
    return _level(sound)


def _plucked(rng: Random, hertz: float, count: int) -> Wave:
    time = np.arange(count) / SPEECH_RATE
    decay, bright = rng.uniform(2, 10), rng.uniform(0.8, 2)
    tones = [
        np.sin(2 * np.pi * hertz * k * time) * np.exp(-time * decay * k**0.5) / k**bright
        for k in range(1, 12)
        if hertz * k < 7500
    ]
    return np.asarray(np.sum(tones, axis=0)) if tones else np.zeros(count)


def _bowed(rng: Random, hertz: float, count: int) -> Wave:
    """A string, a reed or an organ: many overtones under a body's resonance, with vibrato."""
    time = np.arange(count) / SPEECH_RATE
    vibrato = rng.uniform(0, 0.008) * np.sin(2 * np.pi * rng.uniform(4, 7) * time) / rng.uniform(4, 7)
    body, wide, bright = rng.uniform(300, 2500), rng.uniform(0.5, 2), rng.uniform(0.5, 1.6)
    phase = 2 * np.pi * hertz * (time + vibrato)
    tones = [
        np.sin(k * phase + rng.uniform(0, 6))
        / k**bright
        * (0.3 + np.exp(-(np.log(hertz * k / body) ** 2) / wide))
        for k in range(1, 20)
        if hertz * k < 7500
    ]
    attack = np.minimum(1, time / rng.uniform(0.01, 0.2)) * np.minimum(
        1, time[::-1] / rng.uniform(0.01, 0.15)
    )
    return np.asarray(np.sum(tones, axis=0) * attack) if tones else np.zeros(count)


def _pure(rng: Random, hertz: float, count: int) -> Wave:
    """A flute, a whistle, a beep or a bell: one or a few tones that need not be in tune."""
    time = np.arange(count) / SPEECH_RATE
    tones = [np.sin(2 * np.pi * hertz * k * time) / n for n, k in enumerate((2, *rng.uniform(2.1, 9, 2)), 1)]
    decay = np.exp(-time * rng.choice([0.0, rng.uniform(1, 8)]))
    return np.asarray(np.sum(tones[: rng.integers(1, 4)], axis=0) * decay)


def _drums(rng: Random, count: int) -> Wave:
    beat, sound = int(rng.uniform(0.12, 0.3) * SPEECH_RATE), np.zeros(count)
    for number, place in enumerate(range(0, count, beat)):
        size = min(6000, count - place)
        time = np.arange(size) / SPEECH_RATE
        low = np.sin(2 * np.pi * (50 * time + 6 * (1 - np.exp(-time * 30)))) * np.exp(-time * 12)
        snare = rng.standard_normal(size) * np.exp(-time * rng.uniform(15, 40))
        sound[place : place + size] += (low, 0.3 * snare, 0.6 * low, 0.8 * snare)[number % 4]
    return _level(sound)


def _band(rng: Random, count: int) -> Wave:
    """Drums, chords and a melody at once."""
    chords = _notes(rng, count, _bowed if rng.random() < 0.5 else _plucked)
    melody = _notes(rng, count, (_plucked, _bowed, _pure)[rng.integers(3)])
    return _level(_drums(rng, count) * rng.uniform(0.2, 1.2) + chords + melody * rng.uniform(0, 1))


def _tremolo(rng: Random, count: int) -> Wave:
    """Tones whose loudness goes up and down about as fast as syllables come."""
    wave = _notes(rng, count, _pure) if rng.random() < 0.5 else _hum(rng, count)
    time = np.arange(count) / SPEECH_RATE
    base = rng.uniform(100, 500)
    steady = sum(np.sin(2 * np.pi * base * share * time) for share in (1, 1.26, 1.5))
    wave = wave if rng.random() < 0.5 else np.asarray(steady)
    return _level(wave * (1 + rng.uniform(0.4, 1) * _swell(rng, count, 1.5, 8)))


def _sweep(rng: Random, count: int) -> Wave:
    """A siren, a bird, a motor that is revved."""
    time = np.arange(count) / SPEECH_RATE
    hertz = rng.uniform(150, 3000) * 2 ** (
        rng.uniform(0.1, 1) * np.sin(2 * np.pi * rng.uniform(0.2, 5) * time)
    )
    phase = 2 * np.pi * np.cumsum(hertz) / SPEECH_RATE
    return _level(sum((np.sin(k * phase) / k**2 for k in range(1, rng.integers(2, 6))), np.zeros(count)))


_KINDS: Final[dict[str, Callable[[Random, int], Wave]]] = {
    "nothing": _nothing,
    "noise": colored_noise,
    "white": lambda rng, count: _level(rng.standard_normal(count)),
    "steady": steady_noise,
    "changing": _changing,
    "hum": _hum,
    "clicks": _clicks,
    "breaths": _breaths,
    "plucked": lambda rng, count: _notes(rng, count, _plucked),
    "held": lambda rng, count: _notes(rng, count, _bowed),
    "pure": lambda rng, count: _notes(rng, count, _pure),
    "drums": _drums,
    "band": _band,
    "tremolo": _tremolo,
    "sweep": _sweep,
}
