"""Lays a lent mouth into a frame: the lender's own pixels, at their own size, in this frame's light.

Everything happens on the planes. A map of positions, affine and bent, samples the lender's luma and chroma
once; slow differences of light over the cheeks are evened out; a soft mask blends the rest.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, copysign, exp, log
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.boxes import crop_affine
from app.faces.geometry import composed, mapped
from app.faces.leaning import levelled
from app.faces.mask import OUTLINE, mouth_mask
from app.faces.types import Box, FaceLandmarks, MouthMask
from app.media.frames import Affine, FrameLayout, I420Frame, Plane
from app.mouths.covers import FaceCover, spare
from app.mouths.points import JAW, LOWER_LIP_OUTER, UPPER_LIP_OUTER
from app.rendering.jaws import GivingJaw
from app.rendering.sampling import FloatPlane, Lent, Region, region_between, sampled
from app.rendering.stillness import Still

FloatPlanes = npt.NDArray[np.float32]
"""float32 (3, rows, columns): Y, U and V at one size, 0..255, or differences of them."""

Samples = npt.NDArray[np.float32]
"""float32 (n,) or (k, n)."""

MASK_SIZE: Final = 64
"""Side of masks in crop space: they are soft, and enlarged to the face."""

LIPS: Final = np.array([*UPPER_LIP_OUTER, *LOWER_LIP_OUTER])

LIGHT_COLUMNS: Final = 48
"""Width of the picture on which light is compared."""

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

JAW_SHARE: Final = 0.1
"""The lowest share of all that may change, which is no skin to compare light on: a jaw moves there."""

SPREADS: Final = 2.0
LEAST_SPREAD: Final = np.array([6.0, 3.0, 3.0], np.float32)[:, None, None]
"""How far from the usual a difference of luma and chroma may lie to count, a Gaussian's deviation: in median
deviations of this person's cheeks, and at least, in steps of 0..255. Light that falls from one side is
spread wide, and counts; a jaw that lies elsewhere is far out."""

UNLIKE: Final = np.array([30.0, 15.0, 15.0], np.float32)[:, None, None]
"""Differences of luma and chroma, steps of 0..255, up to which a cheek that is laid is like the frame's own;
twice that is something else: hair, an ear, what is behind a head that is turned otherwise. Set by eye on a
man who shakes his head: a strip of the wall behind him was laid on his cheek."""

_AROUND: Final = np.array(
    [164, 167, 165, 92, 186, 57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 410, 322, 391, 393]
)
"""Face Mesh points around the lips, at some distance."""

TIGHT, NEAR = (1.22, 1.12), (1.7, 1.4)
"""How far from the middle of the mouth, across and down, what is laid in any case reaches, over how far these
points are: if something lies before a face, and if not."""

_COVERED: Final = (0.06, 0.14)
"""Share of the mask that something hides, up to which it is as if nothing did, and from which cheeks are left
alone. That is 0.012 and 0.05 of the lower face: a doubt that comes and goes does not switch them."""

_CORNERS: Final = np.array([61, 291])
_CHIN: Final = np.array([148, 152, 377, 176, 400])
_MOVING_JAW: Final = np.array(sorted(set(OUTLINE) & set(JAW)))


@dataclass(frozen=True)
class Layer:
    """Lays mouths into frames of one layout."""

    layout: FrameLayout

    def lay(
        self,
        frame: I420Frame,
        box: Box,
        landmarks: FaceLandmarks,
        lent: Lent,
        weight: float = 1.0,
        cover: FaceCover | None = None,
        still: Still | None = None,
        lag: float = 0.0,
    ) -> None:
        """Blend the mouth ``lent`` into ``frame``.

        ``landmarks`` (468, 2) are the frame's own; ``weight`` 0..1 fades the whole; ``cover`` is what lies
        before the face: it is left alone, and if it is large, the cheeks are. The frame's own jaw gives way
        first, and takes the neck along, but nothing that stands ``still``. Its chin lies ``lag`` pixels
        further down than meshes say.
        """
        jaw = GivingJaw.to(lent.placing.points, landmarks, cover, weight, lag)
        masks = _Masks(box, landmarks if jaw is None else jaw.landmarks, lent)
        region = masks.region(self.layout)
        masks.spare(cover)
        if region is None or not masks.whole.any():
            return
        if jaw is not None:
            jaw.move(self.layout, frame, still)
        laid = sampled(self.layout, lent, landmarks, region)
        own = self._parts(frame, region)
        skin = masks.over(region, masks.skin, _light_size(region))
        if laid.within is not None:
            skin *= cv2.resize(laid.within, skin.shape[::-1], interpolation=cv2.INTER_AREA)
        light = _Light(own, laid.planes, skin, black=16.0 if self.layout.color.range == "limited" else 0.0)
        evened, alike = light.evened()
        mask = masks.alpha(region, own[1].shape[::-1], alike)
        if laid.within is not None:
            mask *= laid.within
        if weight < 1:
            mask *= np.float32(weight)
        whole = np.asarray(cv2.resize(mask, own[0].shape[::-1]), np.float32)
        luma, chroma = ((alpha, 1 - alpha) for alpha in (whole, mask))
        for plane, fitted, shares in zip(own, evened, (luma, chroma, chroma), strict=True):
            plane[:] = cv2.blendLinear(fitted, plane, *shares)

    def _parts(self, frame: I420Frame, region: Region) -> list[Plane]:
        """Return views of a region of the frame's planes."""
        top, bottom, left, right = region
        luma, *chroma = self.layout.planes(frame)
        half = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        return [luma[top:bottom, left:right], *(plane[half] for plane in chroma)]


class _Masks:
    """The soft masks of one frame, in crop space: all that may change, the mouth with its chin, the skin."""

    def __init__(self, box: Box, landmarks: FaceLandmarks, lent: Lent) -> None:
        self._level = levelled(landmarks, box)
        outline = self._level.points(landmarks).copy()
        jaw = self._level.points(lent.placing.points)[_MOVING_JAW]
        lower = jaw[:, 1] > outline[_MOVING_JAW, 1]
        outline[_MOVING_JAW[lower]] = jaw[lower]
        self.whole = mouth_mask(outline, self._level.box, MASK_SIZE)
        self._covered = 0.0
        self._own = landmarks
        self._points = lent.placing.points
        self._lent = lent

    def spare(self, cover: FaceCover | None) -> None:
        """Leave out what lies before the frame's own face, or before the lender's."""
        turned, bare = self._level.to_frame, float(self.whole.sum(dtype=np.int64))
        lender = self._lent.placing.head if turned is None else composed(self._lent.placing.head, turned)
        for one, head in ((cover, turned), (self._lent.cover, lender)):
            if one is not None:
                self.whole = spare(self.whole, one, self._level.box, head)
        if bare:
            self._covered = float(np.interp(1 - self.whole.sum(dtype=np.int64) / bare, _COVERED, (0, 1)))

    def alpha(self, region: Region, size: tuple[int, int], alike: FloatPlane) -> FloatPlane:
        """Return how much of what is laid shows in a region, 0..1, at a (width, height) ``size``.

        The mouth and its chin do; the sides of the face as far as they are ``alike``, and the less the more
        is covered.
        """
        tight = self.over(region, self._around_the_mouth(TIGHT), size) if self._covered else None
        if tight is not None and self._covered == 1:
            return tight
        alpha = self.over(region, self.whole, size)
        if alike.min() < 1:
            near = self.over(region, self._around_the_mouth(NEAR), size)
            alpha = near + (alpha - near) * np.asarray(cv2.resize(alike, size), np.float32)
        if tight is not None:
            alpha += (tight - alpha) * np.float32(self._covered)
        return alpha

    def _around_the_mouth(self, reach: tuple[float, float]) -> MouthMask:
        """Return the part of the whole within ``reach`` of the lips, across and down, and the chin."""
        points = self._in_crop(self._points)
        middle = points[_CORNERS].mean(axis=0)
        ring = middle + (points[_AROUND] - middle) * reach
        hull = cv2.convexHull(np.vstack([ring, points[_CHIN] + (0, 0.06 * MASK_SIZE)]).astype(np.float32))
        shape = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
        cv2.fillPoly(shape, [np.rint(hull * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(shape, (0, 0), MASK_SIZE * 0.035).astype(np.float32) / 255
        part: MouthMask = np.rint(self.whole * np.clip((soft - 0.15) / 0.7, 0, 1)).astype(np.uint8)
        return part

    @property
    def skin(self) -> MouthMask:
        """All that may change but the jaw and the lips, as they are in the frame and as they are laid."""
        skin = self.whole.copy()
        _, top, _, height = cv2.boundingRect(self.whole)
        skin[ceil(top + (1 - JAW_SHARE) * height) :] = 0
        for points in (self._own, self._points):
            lips = self._in_crop(points[LIPS])
            middle = lips.mean(axis=0)
            hull = cv2.convexHull((middle + (lips - middle) * (1.1, 1.25)).astype(np.float32))
            cv2.fillPoly(skin, [np.rint(hull * 16).astype(np.int32)], 0, cv2.LINE_8, 4)
        return skin

    def region(self, layout: FrameLayout) -> Region | None:
        """Return the part of the frame on which the mask has weight; None if there is none."""
        weighty = cv2.findNonZero(self.whole)
        if weighty is None:
            return None
        to_frame = np.asarray(cv2.invertAffineTransform(self._to_crop), np.float64)
        middles = mapped(cv2.convexHull(weighty).reshape(-1, 2).astype(np.float64), to_frame) + 0.5
        reach = 1.5 * np.abs(to_frame[:, :2]).sum(axis=1)
        return region_between(middles.min(axis=0) - reach, middles.max(axis=0) + reach, layout)

    def over(self, region: Region, mask: MouthMask, size: tuple[int, int] | None = None) -> FloatPlane:
        """Return a mask over a region of the frame, 0..1, at its own or another (width, height) ``size``."""
        top, bottom, left, right = region
        width, height = size or (right - left, bottom - top)
        across, down = (right - left) / width, (bottom - top) / height
        to_frame = np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
        affine = composed(self._to_crop, to_frame)
        warped = cv2.warpAffine(mask, affine, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        result: FloatPlane = warped * np.float32(1 / 255)
        return result

    def _in_crop(self, points: FaceLandmarks) -> npt.NDArray[np.float64]:
        return mapped(points, self._to_crop)

    @cached_property
    def _to_crop(self) -> Affine:
        """From positions in the frame to crop pixels."""
        to_frame, turned = crop_affine(self._level.box, MASK_SIZE), self._level.to_frame
        to_frame = to_frame if turned is None else composed(turned, to_frame)
        return np.asarray(cv2.invertAffineTransform(to_frame), np.float64)


class _Light:
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


def _light_size(region: Region) -> tuple[int, int]:
    """Return the width and height of the picture on which the light of a region is compared."""
    top, bottom, left, right = region
    return LIGHT_COLUMNS, max(8, round(LIGHT_COLUMNS * (bottom - top) / (right - left)))


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
