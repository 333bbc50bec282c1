"""How audio was recorded: its level, whether it clips, whether its channels cancel each other.

The mouth follows a mono mix. A microphone wired the wrong way round, a "wide" effect or a balanced line
read as stereo give two channels of opposite sign, whose mix is silent although each of them speaks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.notices import Notice, NoticeCode, notice

BLOCK_SECONDS: Final = 1.0
"""Each stretch of this length is looked at on its own."""

_CANCELED: Final = 0.05
"""Power of the mix, against that of the strongest channel, below which the channels cancel each other. Two
that have nothing in common keep 0.25, one alone in 5.1 at least 0.08."""
_CANCELED_SHARE: Final = 0.1
"""Share of the loud time for which they may do so before the strongest channel is taken instead."""
_LOUD: Final = 0.01
"""Power against that of the loudest stretches (95th percentile) from which on a stretch is loud."""
_NOTHING: Final = 1e-8
"""Power below which there is nothing but the rounding of 16 bits (-80 dB)."""
_QUIET_DB: Final = -45.0
"""Speech is recorded at -15 to -30 dB of full scale; below this the recorder's own noise is near."""
_FULL_SCALE: Final = 32767
_CLIPPED_SHARE: Final = 0.002
"""Share of the samples at full scale from which on a stretch is distorted."""

Blocks = Iterable[tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]]
"""Stretches of the track, int16 (samples, channels), each with the mono mix of the same time, float32."""
_Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SoundLevels:
    """What was measured: ``loudness`` in dB of full scale (-inf: silent), times in seconds.

    ``solo`` is the channel that the mouth follows instead of the mix; None where the mix is right.
    """

    loudness: float
    clipped: float
    canceled: float
    solo: int | None

    def notices(self) -> list[Notice]:
        """Return the warnings about it."""
        told = []
        if self.loudness == -np.inf:
            told.append(notice(NoticeCode.QUIET_SOUND, "The audio is silent: the mouth stays at rest."))
        elif self.loudness < _QUIET_DB:
            detail = f"The audio is quiet, {-self.loudness:.0f} dB below full scale; record it louder."
            told.append(notice(NoticeCode.QUIET_SOUND, detail))
        if self.clipped:
            detail = f"The audio is clipped for {self.clipped:.1f} s; record it with less gain."
            told.append(notice(NoticeCode.CLIPPED_SOUND, detail, self.clipped))
        if self.solo is not None:
            detail = (
                f"The channels cancel each other for {self.canceled:.1f} s; the mouth follows channel "
                f"{self.solo + 1} alone, and the audio itself is unchanged."
            )
            told.append(notice(NoticeCode.OUT_OF_PHASE_SOUND, detail, self.canceled))
        return told


def measure(blocks: Blocks, rate: int) -> SoundLevels:
    """Measure a sound of ``rate`` samples a second, given in stretches of :data:`BLOCK_SECONDS`."""
    rows = [_row(track, mix) for track, mix in blocks]
    seconds = np.array([row[0] for row in rows]) / rate
    clipped = np.array([row[1] for row in rows])
    mix = np.array([row[2] for row in rows])
    channels = np.array([row[3] for row in rows])
    strongest = channels.max(1)
    floor = max(_NOTHING, _LOUD * float(np.percentile(strongest, 95)))
    loud = strongest > floor
    canceled = loud & (mix < _CANCELED * strongest)
    solo = canceled @ seconds > _CANCELED_SHARE * (loud @ seconds)
    return SoundLevels(
        loudness=_decibels(strongest),
        clipped=float((clipped > _CLIPPED_SHARE) @ seconds),
        canceled=float(canceled @ seconds),
        solo=int((channels * seconds[:, None]).sum(0).argmax()) if solo else None,
    )


def _row(
    track: npt.NDArray[np.int16], mix: npt.NDArray[np.float32]
) -> tuple[int, float, float, npt.NDArray[np.float32]]:
    """Return a stretch's samples, its share at full scale, and the power of its mix and of each channel."""
    channels = np.ascontiguousarray(track.T)  # channel by channel, it is summed in a fifth of the time
    clipped = ((channels >= _FULL_SCALE) | (channels <= -_FULL_SCALE)).any(axis=0)
    power = (channels.astype(np.float32) / (_FULL_SCALE + 1)).var(axis=1)
    return len(track), float(clipped.mean()), float(mix.var()) if len(mix) else 0.0, power


def _decibels(power: _Column) -> float:
    loudest = float(np.percentile(power, 95))
    return 10 * float(np.log10(loudest)) if loudest > _NOTHING / 10 else -np.inf
