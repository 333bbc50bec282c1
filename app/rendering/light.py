"""The light of a mouth that is laid: brought to that of the skin of the frame that it is laid into."""

from math import copysign, exp, log
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.media.frames import Plane
from app.rendering.sampling import FloatPlane

FloatPlanes = npt.NDArray[np.float32]
"""float32 (3, rows, columns): Y, U and V at one size, 0..255, or differences of them."""

Samples = npt.NDArray[np.float32]
"""float32 (n,) or (k, n)."""

MOST_LIGHT: Final = 45.0
"""Largest difference of light that is evened out, steps of 0..255: beyond it something else lies there."""

SAME_LIGHT: Final = (0.02, 0.04)
MOST_GAIN: Final = 1.6
"""Ratio of two skins' brightness, less 1, up to which none is applied, and from which all of it is; and the
largest that is."""

AGREED: Final = 0.1
"""Logarithm of the ratio of two measures of a gain up to which the steadier one counts alone: real people
are mostly within it. Where a head turns through a drawn, hard shadow, skin about the mouth is off by 19.5
steps of 255 by the steadier one alone, by 13.7 by the other, by 15.4 so; under a cap by 6.9, 5.0 and 5.7."""

LEAST_SKIN: Final = 0.1
"""Weight from which a place counts as skin for the usual difference of two lights."""

SPREADS: Final = 2.0
LEAST_SPREAD: Final = np.array([6.0, 3.0, 3.0], np.float32)[:, None, None]
"""How far from the usual a difference of luma and chroma may lie to count, a Gaussian's deviation: in median
deviations of this person's cheeks, and at least, in steps of 0..255. Light that falls from one side is
spread wide, and counts; a jaw that lies elsewhere is far out."""

UNLIKE: Final = np.array([30.0, 15.0, 15.0], np.float32)[:, None, None]
"""Differences of luma and chroma, steps of 0..255, up to which a cheek that is laid is like the frame's own;
twice that is something else: hair, an ear, what is behind a head that is turned otherwise. Set by eye on a
man who shakes his head: a strip of the wall behind him was laid on his cheek."""


class Light:
    """Brings a laid mouth into the frame's light; lips and folds stay lent.

    First by one gain for all, then by what is slow over the skin. Both are known from skin that the two
    pictures show at the same place: where a jaw, a nostril or a hand lies elsewhere, they do not agree, and
    such places count little.
    """

    def __init__(self, own: list[Plane], laid: list[Plane], skin: FloatPlane, black: float) -> None:
        """Compare two pictures of a region; ``skin``, small, 0..1, is where they are to be alike.

        ``black`` is its luma: a gain leaves it where it is.
        """
        self._dark = np.array([black, 128, 128], np.float32)[:, None, None]
        self._laid = laid
        self._size = skin.shape[1], skin.shape[0]
        self._weight = np.minimum(np.float32(1.3) * skin, 1)
        self._own = self._all_small(own)

    def evened(self) -> tuple[list[Plane], FloatPlane]:
        """Return the laid planes in the frame's light.

        And where, on the small picture, their skin is then like the frame's own, 0..1; it is 1 for all else.
        """
        skin = np.flatnonzero(self._weight > LEAST_SKIN)
        if not len(skin):
            return self._laid, np.ones(self._weight.shape, np.float32)
        lit = self._laid
        small = self._all_small(lit)
        gain = _gain(self._own[0].take(skin), small[0].take(skin), self._dark[0].item())
        if gain != 1.0:
            small = (small - self._dark) * np.float32(gain) + self._dark
            lit = [
                np.asarray(cv2.addWeighted(plane, gain, plane, 0, float(dark) * (1 - gain)), np.uint8)
                for plane, dark in zip(lit, self._dark.ravel(), strict=True)
            ]
        difference = self._own - small
        slow = self._slow(difference, skin)
        unlike = (np.abs(difference - slow) / UNLIKE).max(axis=0) * (self._weight > LEAST_SKIN)
        evened = [
            np.asarray(cv2.add(plane, cv2.resize(more, plane.shape[::-1]), dtype=cv2.CV_8U), np.uint8)
            for plane, more in zip(lit, slow, strict=True)
        ]
        alike = (2 - unlike).clip(0, 1)
        return evened, np.asarray(cv2.erode(alike, np.ones((3, 3), np.uint8)), np.float32)

    def _slow(self, difference: FloatPlanes, skin: npt.NDArray[np.intp]) -> FloatPlanes:
        """Smooth differences over where they are known: first everywhere, then closer where there is skin."""
        usual = _medians(difference.reshape(3, -1).take(skin, axis=1))[:, None, None]
        apart = np.square(difference - usual)
        spread = _medians(apart.reshape(3, -1).take(skin, axis=1))[:, None, None]
        spread = np.maximum(spread * np.float32(SPREADS**2), LEAST_SPREAD**2)
        apart /= 2 * spread
        weight = self._weight * np.exp(-(apart[0] + apart[1] + apart[2]))
        known = (difference.clip(-MOST_LIGHT, MOST_LIGHT) - usual) * weight
        result: FloatPlanes = np.zeros_like(known)
        for share, trust, shrunk in ((0.16, 0.01, 2), (0.05, 0.08, 1)):
            total, mean = self._mean(weight, known, share * self._size[0], shrunk)
            result += (total / (total + np.float32(trust))) * (mean - result)
        return result + usual

    def _mean(
        self, weight: FloatPlane, known: FloatPlanes, reach: float, shrunk: int
    ) -> tuple[FloatPlane, FloatPlanes]:
        """Return the weight within reach of every place, and the mean of what is known there.

        A wide reach is computed on a picture that is ``shrunk`` that much.
        """
        all_four = cv2.merge([weight, *known])
        if shrunk > 1:
            size = self._size[0] // shrunk, self._size[1] // shrunk
            all_four = cv2.resize(all_four, size, interpolation=cv2.INTER_AREA)
        all_four = cv2.GaussianBlur(all_four, (0, 0), reach / shrunk)
        if shrunk > 1:
            all_four = cv2.resize(all_four, self._size, interpolation=cv2.INTER_LINEAR)
        total, *sums = cv2.split(all_four)
        mean: FloatPlanes = np.array(sums, np.float32)
        mean /= total + np.float32(1e-4)
        return np.asarray(total, np.float32), mean

    def _all_small(self, planes: list[Plane]) -> FloatPlanes:
        """Return planes at one small size; luma by way of chroma's, since halving takes next to no time."""
        luma, *chroma = planes
        halves = [cv2.resize(luma, chroma[0].shape[::-1], interpolation=cv2.INTER_AREA), *chroma]
        small: FloatPlanes = np.array(
            [cv2.resize(plane, self._size, interpolation=cv2.INTER_AREA) for plane in halves], np.float32
        )
        return small


def _gain(own: Samples, laid: Samples, black: float) -> float:
    """Return how much brighter the luma of skin is here than in the lender; 1 where the light is the same.

    It is the gain that leaves the least absolute differences, the median of the pixels' ratios, weighted by
    their luma: a beard that lies a little elsewhere moves the medians of the two pictures, but not that. Of
    a face half in shadow it is that of the lit half; beyond :data:`AGREED` the ratio of the medians counts.
    """
    ours, theirs = own - black, np.maximum(laid - black, 1.0)
    ratios = ours / theirs
    order = np.argsort(ratios)
    reached = np.cumsum(theirs[order])
    steady = max(float(ratios[order[np.searchsorted(reached, reached[-1] / 2)]]), 1 / MOST_GAIN)
    middles = _medians(np.stack([ours, theirs]))
    apart = log(max(float(middles[0] / middles[1]), 1 / MOST_GAIN) / steady)
    more = steady * exp(copysign(max(abs(apart) - AGREED, 0.0), apart)) - 1
    if abs(more) < SAME_LIGHT[1]:
        more = copysign(float(np.interp(abs(more), SAME_LIGHT, (0, SAME_LIGHT[1]))), more)
    return float(min(max(1 + more, 1 / MOST_GAIN), MOST_GAIN))


def _medians(samples: Samples) -> Samples:
    """Return the median of each row; ``numpy.median`` takes four times as long."""
    low, high = (samples.shape[1] - 1) // 2, samples.shape[1] // 2
    ordered = np.partition(samples, (low, high), axis=1)
    return np.asarray((ordered[:, low] + ordered[:, high]) / 2, np.float32)
