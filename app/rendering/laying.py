"""Lays a borrowed mouth into a frame: the lender's own pixels, at their own size, in this frame's light.

Everything happens on the planes. A map of positions, affine and bent, samples the lender's luma and chroma
once; slow differences of light over the cheeks are evened out; a soft mask blends the rest.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.mask import OUTLINE, mouth_mask
from app.faces.types import Box, FaceLandmarks, MouthMask
from app.media.frames import FrameLayout, I420Frame, Plane
from app.mouths.covers import spare
from app.mouths.points import JAW
from app.rendering.sampling import CoverMarks, FloatPlane, Lent, Region, halved, sampled

MASK_SIZE: Final = 64
"""Side of masks in crop space: they are soft, and enlarged to the face."""

LIGHT_COLUMNS: Final = 48
"""Width of the picture on which light is compared."""

MOST_LIGHT: Final = 45.0
"""Largest difference of light that is evened out, steps of 0..255: beyond it something else lies there."""

_AROUND: Final = (
    *(164, 167, 165, 92, 186, 57, 43, 106, 182, 83),
    *(18, 313, 406, 335, 273, 287, 410, 322, 391, 393),
)
"""Face Mesh points around the lips, at some distance."""
_CHIN: Final = (148, 152, 377, 176, 400)
_MOVING_JAW: Final = tuple(set(OUTLINE) & set(JAW))


@dataclass(frozen=True)
class Layer:
    """Lays mouths into frames of one layout."""

    layout: FrameLayout

    def lay(
        self,
        frame: I420Frame,
        box: Box,
        landmarks: FaceLandmarks,
        lent: list[Lent],
        weight: float = 1.0,
        gain: float = 1.0,
        cover: CoverMarks | None = None,
    ) -> None:
        """Blend the mouths of ``lent``, whose shares add up to 1, into ``frame``.

        ``landmarks`` (468, 2) are the frame's own; ``gain`` is how much brighter the frame's skin is than
        the lender's; ``weight`` 0..1 fades the whole; ``cover`` (96, 96) is what lies before the face: then
        the cheeks are left alone, and what is covered.
        """
        masks = _Masks(box, landmarks, lent)
        region = masks.region(self.layout)
        if region is None:
            return
        laid = self._mixed(lent, landmarks, region)
        own = self._parts(frame, region)
        masks.spare(cover, landmarks)
        mask = masks.over(region, masks.tight if masks.covered else masks.whole)
        light = _Light(own, laid, masks.over(region, masks.whole), masks.over(region, masks.tight))
        for plane, fitted in zip(own, light.evened(gain), strict=True):
            alpha = (mask if plane.shape == mask.shape else halved(mask)) * np.float32(weight)
            plane[:] = cv2.blendLinear(fitted, plane, alpha, 1 - alpha)

    def _mixed(self, lent: list[Lent], landmarks: FaceLandmarks, region: Region) -> list[Plane]:
        """Return the planes of one mouth, or of two that are faded into each other."""
        mixed = sampled(self.layout, lent[0], landmarks, region)
        for one in lent[1:]:
            planes = sampled(self.layout, one, landmarks, region)
            mixed = [
                np.asarray(cv2.addWeighted(before, 1 - one.share, plane, one.share, 0), np.uint8)
                for before, plane in zip(mixed, planes, strict=True)
            ]
        return mixed

    def _parts(self, frame: I420Frame, region: Region) -> list[Plane]:
        """Return views of a region of the frame's planes."""
        top, bottom, left, right = region
        luma, *chroma = self.layout.planes(frame)
        half = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        return [luma[top:bottom, left:right], *(plane[half] for plane in chroma)]


class _Masks:
    """The soft masks of one frame, in crop space: all that may change, and the mouth with its chin."""

    def __init__(self, box: Box, landmarks: FaceLandmarks, lent: list[Lent]) -> None:
        self._box = box
        points = [one.placing.points for one in lent]
        outline = landmarks.copy()
        for jaw in _MOVING_JAW:
            lowest = max(points, key=lambda mesh: mesh[jaw, 1])
            if lowest[jaw, 1] > outline[jaw, 1]:
                outline[jaw] = lowest[jaw]
        self.whole = mouth_mask(outline, box, MASK_SIZE)
        self.covered = False
        self._points = points[0]
        self._lent = lent

    def spare(self, cover: CoverMarks | None, landmarks: FaceLandmarks) -> None:
        """Leave out what lies before the frame's own face, or before a lender's."""
        if cover is not None:
            self.whole = spare(self.whole, cover, landmarks, self._box)
            self.covered = True
        for one in self._lent:
            if one.cover is not None and one.landmarks is not None:
                self.whole = spare(self.whole, one.cover, one.landmarks, self._box, one.placing.head)
                self.covered = True

    @cached_property
    def tight(self) -> MouthMask:
        """The mouth and its chin, without the cheeks."""
        top, _, left, _ = self._box.tolist()
        scale = self._to_crop
        points = (self._points.astype(np.float64) + 0.5 - (left, top)) * scale - 0.5
        middle = points[[61, 291]].mean(axis=0)
        ring = middle + (points[list(_AROUND)] - middle) * (1.22, 1.12)
        hull = cv2.convexHull(
            np.vstack([ring, points[list(_CHIN)] + (0, 0.06 * MASK_SIZE)]).astype(np.float32)
        )
        shape = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
        cv2.fillPoly(shape, [np.rint(hull * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(shape, (0, 0), MASK_SIZE * 0.035).astype(np.float32) / 255
        tight: MouthMask = np.rint(self.whole * np.clip((soft - 0.15) / 0.7, 0, 1)).astype(np.uint8)
        return tight

    def region(self, layout: FrameLayout) -> Region | None:
        """Return the part of the frame on which the mask has weight; None if there is none."""
        x, y, width, height = cv2.boundingRect(self.whole)
        if not width:
            return None
        top, _, left, _ = self._box.tolist()
        across, down = 1 / self._to_crop
        edges = (
            top + (y - 1) * down,
            top + (y + height + 1) * down,
            left + (x - 1) * across,
            left + (x + width + 1) * across,
        )
        limits = (layout.height, layout.height, layout.width, layout.width)
        first, last, start, stop = (
            min(max(2 * round(edge / 2), 0), limit) for edge, limit in zip(edges, limits, strict=True)
        )
        return (first, last, start, stop) if last - first >= 4 and stop - start >= 4 else None

    def over(self, region: Region, mask: MouthMask) -> FloatPlane:
        """Return a mask over a region of the frame, 0..1."""
        top, bottom, left, right = region
        scale = self._to_crop
        affine = np.array(
            [
                [scale[0], 0, (left + 0.5 - self._box[2]) * scale[0] - 0.5],
                [0, scale[1], (top + 0.5 - self._box[0]) * scale[1] - 0.5],
            ]
        )
        warped = cv2.warpAffine(
            mask, affine, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        result: FloatPlane = warped.astype(np.float32) * np.float32(1 / 255)
        return result

    @property
    def _to_crop(self) -> npt.NDArray[np.float64]:
        """Crop pixels in a pixel of the frame, across and down."""
        top, bottom, left, right = self._box.tolist()
        return np.array([MASK_SIZE / (right - left), MASK_SIZE / (bottom - top)])


class _Light:
    """Evens out what is slow over the cheeks: their light is the frame's own; lips and folds are lent."""

    def __init__(self, own: list[Plane], laid: list[Plane], mask: FloatPlane, tight: FloatPlane) -> None:
        self._laid = laid
        height, width = mask.shape
        self._size = LIGHT_COLUMNS, max(8, round(LIGHT_COLUMNS * height / width))
        whole, inner = self._small(mask), self._small(tight)
        fade = np.arange(self._size[1])[:, None] < 0.9 * self._size[1]
        self._weight = (np.clip(1.3 * whole, 0, 1) * (1 - inner) * fade).astype(np.float32)
        self._shares = [
            (cv2.GaussianBlur(self._weight, (0, 0), reach), reach, trust)
            for reach, trust in ((0.16 * self._size[0], 1e-4), (0.05 * self._size[0], 0.08))
        ]
        self._own = self._all_small(own)

    def evened(self, gain: float) -> list[Plane]:
        """Return the laid planes in the frame's light."""
        lit = self._laid
        if gain != 1.0:
            lit = [
                np.asarray(cv2.addWeighted(plane, gain, plane, 0, level * (1 - gain)), np.uint8)
                for plane, level in zip(self._laid, (16.0, 128.0, 128.0), strict=True)
            ]
        slow = cv2.split(self._slow(self._own - self._all_small(lit)))
        return [
            np.asarray(cv2.add(plane, cv2.resize(more, plane.shape[::-1]), dtype=cv2.CV_8U), np.uint8)
            for plane, more in zip(lit, slow, strict=True)
        ]

    def _slow(self, difference: FloatPlane) -> FloatPlane:
        """Smooth differences (rows, columns, 3) over where they are known.

        First everywhere, then closer where there is skin.
        """
        known = np.clip(difference, -MOST_LIGHT, MOST_LIGHT) * self._weight[..., None]
        result: FloatPlane = np.zeros_like(known)
        for total, reach, trust in self._shares:
            mean = cv2.GaussianBlur(known, (0, 0), reach) / (total + np.float32(1e-4))[..., None]
            result += (total / (total + np.float32(trust)))[..., None] * (mean - result)
        return result

    def _all_small(self, planes: list[Plane]) -> FloatPlane:
        return np.dstack([self._small(plane) for plane in planes])

    def _small(self, plane: Plane | FloatPlane) -> FloatPlane:
        small: FloatPlane = cv2.resize(plane, self._size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return small
