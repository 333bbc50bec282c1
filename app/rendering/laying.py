"""Lays a lent mouth into a frame: the lender's own pixels, at their own size, in this frame's light.

Everything happens on the planes. A map of positions, affine and bent, samples the lender's luma and chroma
once; slow differences of light over the cheeks are evened out; a soft mask blends the rest.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
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
from app.rendering.light import Light
from app.rendering.sampling import FloatPlane, Lent, Region, region_between, sampled
from app.rendering.stillness import Still

MASK_SIZE: Final = 64
"""Side of masks in crop space: they are soft, and enlarged to the face."""

LIPS: Final = np.array([*UPPER_LIP_OUTER, *LOWER_LIP_OUTER])

LIGHT_COLUMNS: Final = 48
"""Width of the picture on which light is compared."""

JAW_SHARE: Final = 0.1
"""The lowest share of all that may change, which is no skin to compare light on: a jaw moves there."""

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
        light = Light(own, laid.planes, skin, black=16.0 if self.layout.color.range == "limited" else 0.0)
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


def _light_size(region: Region) -> tuple[int, int]:
    """Return the width and height of the picture on which the light of a region is compared."""
    top, bottom, left, right = region
    return LIGHT_COLUMNS, max(8, round(LIGHT_COLUMNS * (bottom - top) / (right - left)))
