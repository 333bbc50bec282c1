"""Which mouths may be lent to which frames: those of heads turned nearly alike, in light that can be met."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from app.faces.types import runs_of
from app.mouths.looks import Skin, colourfulness
from app.mouths.study import TakeFrames, frames_of_takes
from app.mouths.types import Flags, Numbers

FARTHEST_TURN: Final = 16.0
"""Degrees between two heads beyond which one's mouth does not lie on the other. Beyond 11 a lender is rarely
chosen: where nobody nearer opens, and then looks better than a mouth that is stretched."""

FARTHEST_LIGHT, FARTHEST_TINT = 0.45, 0.2
"""Difference of the logarithms of two skins' brightness, and of their tints, beyond which the light cannot be
brought together: under a lamp of another colour lips do not change as skin does. Within 36 of 38 clips of
people tints differ by 0.02 to 0.14, under a lamp that changes its colour by 0.4."""

FARTHEST_VEIL: Final = 0.45
"""Difference of the logarithms of two skins' colourfulness beyond which one lies under a veil and the other
does not: a fade to white adds light instead of multiplying it, so that no gain brings the two together."""

MOST_WHITE, SAME_TONE = 55.0, 0.12
"""White, steps of 255, that lies over one of two skins, beyond which a mouth's dark and colours stand out in
the other: what is left when all channels get one gain. It is no white if that leaves more than the second of
these, as a share of a skin's deviation from grey: another colour of light does."""

_COLOURLESS: Final = 0.1
"""Colourfulness that is added to each, so that black and white footage knows no veil."""

_GREY: Final = 0.09
"""Colourfulness below which a skin has no tone by which white could be told: a step of it is an encoder's."""

_NOISE: Final = 8.0
"""Steps of 255 that are added to each channel of a skin before logarithms: under a red lamp the blue of a
cheek is all noise, which is no change of the light."""

FEWEST: Final = 3
"""Lenders that open of which a frame has enough to be given open mouths."""

KEPT_SECONDS: Final = 0.5
"""How long it stays so that frames have such lenders, or have none, at least: each change is seen."""

ASKED_SECONDS: Final = 0.1
"""How often frames are asked."""

_MOST_ASKED: Final = 1000
"""Lenders of a take, spread over it, of which each frame is asked whether it may have them."""

_AT_ONCE: Final = 256
"""Frames that are asked together."""


@dataclass(frozen=True)
class Places:
    """Where the heads of n frames look, and in which light."""

    turns: Numbers
    """(n, 2): degrees to the side and down."""
    light: Numbers
    """(n, 3): logarithms of the skin's brightness and of two tints, blue and red over green: a lamp that
    changes its colour changes those of the lips."""
    veil: Numbers
    """(n,): logarithm of how colourful the skin is: white light lowers it."""
    skin: Numbers
    """(n, 3): its mean blue, green, red, 0..255."""

    @classmethod
    def of(cls, turns: Numbers, skin: Skin) -> Self:
        """Measure the light on each skin."""
        lit = skin.astype(np.float64) + _NOISE
        blue, green, red = np.log(lit).T
        light = np.column_stack([np.log(lit.mean(axis=1)), blue - green, red - green])
        veil = np.log(colourfulness(skin) + _COLOURLESS)
        return cls(turns, light, veil, skin.astype(np.float64))

    def fit(
        self, lenders: TakeFrames, frames: TakeFrames, farthest_turn: float = FARTHEST_TURN
    ) -> npt.NDArray[np.bool_]:
        """Tell whether each frame may be lent the mouth of each lender, (len(frames), len(lenders)).

        ``farthest_turn`` is the angle between two heads at most, degrees.
        """
        turned = np.hypot(*(self.turns[lenders] - self.turns[frames, None]).transpose(2, 0, 1))
        fits: npt.NDArray[np.bool_] = turned <= farthest_turn
        farthest = (FARTHEST_LIGHT, FARTHEST_TINT, FARTHEST_TINT, FARTHEST_VEIL)
        for number, most in zip((*self.light.T, self.veil), farthest, strict=True):
            fits &= np.abs(number[lenders] - number[frames, None]) <= most
        fits &= ~self._under_white(lenders, frames)
        return fits

    @cached_property
    def _tones(self) -> tuple[Numbers, Numbers, Numbers, Flags]:
        """Of each skin its mean (n,), how channels leave it (n, 3), squared (n,), and whether it is grey."""
        mean = self.skin.mean(axis=1)
        tone = self.skin - mean[:, None]
        square = np.maximum(np.square(tone).sum(axis=1), 1.0)
        return mean, tone, square, colourfulness(self.skin.astype(np.float32)) < _GREY

    def _under_white(self, lenders: TakeFrames, frames: TakeFrames) -> npt.NDArray[np.bool_]:
        """Tell over which of two skins alone white lies, (len(frames), len(lenders)): :data:`MOST_WHITE`.

        Each channel of one is taken for a gain times that of the other, plus white; by least squares.
        """
        mean, tone, square, grey = self._tones
        product = tone[frames] @ tone[lenders].T
        gain = product / square[lenders]
        white = mean[frames, None] - gain * mean[lenders]
        left = np.maximum(square[frames, None] - gain * product, 0)
        under: npt.NDArray[np.bool_] = np.abs(white) > MOST_WHITE * np.maximum(gain, 1)
        under &= left < SAME_TONE**2 * square[frames, None]
        under &= ~(grey[lenders] & grey[frames, None])
        return under


def without_lenders(places: Places, takes: npt.NDArray[np.int32], lenders: Flags, fps: float) -> Flags:
    """Tell for which frames there are not enough ``lenders``, steadily in time; not so without a take."""
    without = np.zeros(len(takes), np.bool_)
    every, least = max(1, round(ASKED_SECONDS * fps)), round(KEPT_SECONDS * fps)
    for take in frames_of_takes(takes):
        pool = take[lenders[take]]
        if len(pool) < FEWEST:
            without[take] = True
            continue
        pool = pool[:: -(-len(pool) // _MOST_ASKED)]
        asked = take[::every]
        parts = [asked[first : first + _AT_ONCE] for first in range(0, len(asked), _AT_ONCE)]
        enough = np.concatenate([places.fit(pool, part).sum(axis=1) >= FEWEST for part in parts])
        without[take] = _steady(np.repeat(~enough, every)[: len(take)], least)
    return without


def _steady(flags: Flags, least: int) -> Flags:
    """Return flags (n,) that stay for ``least`` frames: short gaps are filled, then short runs left out."""
    steady = flags.copy()
    for value in (True, False):
        for start, stop in runs_of(steady != value):
            if stop - start < min(least, len(flags)):
                steady[start:stop] = value
    return steady
