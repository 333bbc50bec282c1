"""Loudness of speech, and the gain that brings it to the level that the ear expects."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.windows import FrameTimes
from app.media.sound import SPEECH_RATE, Sound, SpeechSamples
from app.progress import Alive, nothing

BlockLevels = npt.NDArray[np.float64]
"""float64 (n,): root mean square of each tenth of a second; 1 is full scale."""

LoudBlocks = npt.NDArray[np.bool_]
"""bool (n,): one for each tenth of a second."""

TARGET_LEVEL: Final = 0.07
"""Level that speech is brought to: -23 dB of full scale, as broadcasters deliver it (EBU R 128)."""
MOST_GAIN: Final = 10 ** (50 / 20)
"""A sound whose level is under -73 dB of full scale is quieter than any speech, and is left quiet."""
LEAST_LOUD: Final = 0.06
"""Level, beside that of the speech, down to which a word goes on: 24 dB below it are final consonants."""
FADING_SECONDS: Final = 0.2
"""How long a mouth goes on after the last that is loud, to close."""
QUIET_SECONDS: Final = (0.15, 0.4)
"""So long before and after something is loud speech may go on; by the second of these it has ended. Heads
that hear a second at once are sure of it for about as long after the last word. Set by eye."""
BLOCK_SECONDS: Final = 0.1
_BLOCK: Final = round(BLOCK_SECONDS * SPEECH_RATE)
_REACH: Final = 2
_CHUNK: Final = 600 * _BLOCK
"""Samples that are read together: a minute, 4 MB."""


@dataclass(frozen=True)
class Loudness:
    """How loud a sound is."""

    gain: float
    """By what to multiply its samples so that its speech has the target level."""
    loud: LoudBlocks
    """Which tenths of a second are loud beside its speech as a whole."""

    def near(self, times: FrameTimes) -> npt.NDArray[np.float32]:
        """Return how near something is loud at each of ``times``, seconds, 0..1: :data:`QUIET_SECONDS`."""
        starts = np.r_[-np.inf, np.flatnonzero(self.loud) * BLOCK_SECONDS, np.inf]
        after = np.searchsorted(starts, times, side="right")
        apart = np.minimum(times - starts[after - 1] - BLOCK_SECONDS, starts[after] - times)
        near: npt.NDArray[np.float32] = np.clip(
            (QUIET_SECONDS[1] - apart) / (QUIET_SECONDS[1] - QUIET_SECONDS[0]), 0, 1
        ).astype(np.float32)
        return near


def loudness_of(sound: Sound, alive: Alive = nothing) -> Loudness:
    """Measure how loud ``sound`` is; ``alive`` is called for each minute of it."""
    levels = _levels(sound, alive)
    gain = gain_of(levels)
    return Loudness(gain, (levels > LEAST_LOUD * TARGET_LEVEL / gain) & (levels > 0))


def last_word(sound: Sound, alive: Alive = nothing) -> float:
    """Return when the last word of ``sound`` ends, seconds; 0 if nothing is said.

    It goes on while a tenth of a second is loud beside the speech as a whole, and a little longer to fade.
    ``alive`` is called for each minute of the sound.
    """
    loud = np.flatnonzero(loudness_of(sound, alive).loud)
    if not len(loud):
        return 0.0
    end = (int(loud[-1]) + 1) * _BLOCK / SPEECH_RATE + FADING_SECONDS
    return min(end, sound.duration)


def gain_of(levels: BlockLevels) -> float:
    """Return the gain for a sound of these levels: at most 50 dB, and 1 for silence.

    The level of a sound is the median of its blocks, each weighted by its own amplitude: half of all that is
    heard is louder. So pauses weigh nothing, however long they are. Neither do bangs of up to 0.2 s: each
    block has first got the median of the half second about it.
    """
    order = np.sort(_without_bangs(levels))
    weight = np.cumsum(order)
    if not len(order) or weight[-1] <= 0:
        return 1.0
    level = float(order[np.searchsorted(weight, weight[-1] / 2)])
    return min(TARGET_LEVEL / level, MOST_GAIN)


def _without_bangs(levels: BlockLevels) -> BlockLevels:
    if not len(levels):
        return levels
    padded = np.pad(levels, _REACH, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1)
    lasting: BlockLevels = np.nanmedian(around, axis=1)
    return lasting


def block_levels(samples: SpeechSamples) -> BlockLevels:
    """Return the level of each tenth of a second; what remains at the end counts as a block if it is all."""
    whole = len(samples) // _BLOCK * _BLOCK
    blocks = samples[:whole].reshape(-1, _BLOCK) if whole else samples.reshape(1, -1)[:, : len(samples)]
    if not blocks.size:
        return np.empty(0)
    levels: BlockLevels = np.sqrt(np.square(blocks.astype(np.float64)).mean(axis=1))
    return levels


def _levels(sound: Sound, alive: Alive) -> BlockLevels:
    """Return the level of each tenth of a second of ``sound``."""
    levels = [np.empty(0)]
    for start in range(0, sound.speech_samples, _CHUNK):
        alive()
        levels.append(block_levels(sound.read_speech(start, start + _CHUNK)))
    return np.concatenate(levels)
