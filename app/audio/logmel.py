"""Whisper's log-mel of any stretch of a sound, the same to the bit however the sound is cut into stretches.

Whisper clamps at the loudest column of what it is given, less 8; here the clamp is a constant, so that a
column does not depend on what else is computed. Columns are computed in blocks that lie on a fixed grid of
the sound's time: how a matrix product is rounded depends on its size.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.slaney import FilterBank, filter_bank
from app.media.sound import SPEECH_RATE, Sound
from app.progress import Alive, nothing

LogMel = npt.NDArray[np.float32]
"""float32 (80, columns), -0.75 and above: 100 columns a second, column ``c`` centred on sample ``160 c``."""

Signal = npt.NDArray[np.float64]
"""float64 (samples,): speech at 16 kHz."""

BANDS: Final = 80
HOP: Final = 160
FFT_SIZE: Final = 400
COLUMNS_PER_SECOND: Final = SPEECH_RATE // HOP
LEAST_POWER: Final = -7.0
"""Log10 of the power at which columns are clamped; speech, levelled, has about -1.5 in its loud bands."""
_HIGHEST_HZ: Final = 8000.0
_BLOCK: Final = 100
"""Columns that are computed together."""
_HANN: Final = np.hanning(FFT_SIZE + 1)[:-1]


def log_mel(sound: Sound, start: int, stop: int, gain: float, alive: Alive = nothing) -> LogMel:
    """Return columns ``start`` to ``stop`` of ``sound``, its samples times ``gain``, with zeros outside.

    ``alive`` is called meanwhile.
    """
    first, blocks = start // _BLOCK, []
    for index in range(first, -(-stop // _BLOCK)):
        alive()
        blocks.append(_block(sound, index, gain))
    columns: LogMel = np.concatenate(blocks, axis=1)[:, start - first * _BLOCK : stop - first * _BLOCK]
    return columns


def signal_log_mel(signal: Signal) -> LogMel:
    """Return the columns whose windows lie in ``signal``, the first one at its first sample."""
    windows = np.lib.stride_tricks.sliding_window_view(signal, FFT_SIZE)[::HOP]
    power = np.square(np.abs(np.fft.rfft(windows * _HANN)))
    clamped = np.log10(np.maximum(_filter_bank() @ power.T, 10**LEAST_POWER))
    scaled: LogMel = ((clamped + 4) / 4).astype(np.float32)
    return scaled


def _block(sound: Sound, index: int, gain: float) -> LogMel:
    """Return the columns of one block of the grid."""
    begin = index * _BLOCK * HOP - FFT_SIZE // 2
    signal = np.zeros((_BLOCK - 1) * HOP + FFT_SIZE)
    have = sound.read_speech(begin, begin + len(signal))
    offset = max(0, -begin)
    signal[offset : offset + len(have)] = have
    return signal_log_mel(signal * gain)


@cache
def _filter_bank() -> FilterBank:
    """Return Whisper's bands."""
    return filter_bank(BANDS, FFT_SIZE, 0.0, _HIGHEST_HZ)
