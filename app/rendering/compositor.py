"""Pastes a generated mouth into the avatar's frame: on its planes, through its mask, in its own tint.

Only pixels under the mask change: the frame is never converted to another colour space and back.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.types import Box, MouthMask
from app.media.frames import Affine, BgrImage, FrameLayout, I420Frame, Plane, bgr_to_yuv

Tint = npt.NDArray[np.float64]
"""float64 (3,): what to add to blue, green and red, in steps of 0..255."""

_MAX_TINT: Final = 24.0
"""Largest tint correction, in steps of 0..255: beyond it the model drew another thing, not another light."""

_CHEEK_ROWS: Final = 0.85
"""The tint is measured above this share of the crop's height: below it the jaw moves over the neck."""


@dataclass(frozen=True)
class _Region:
    """A part of a plane: rows ``top..bottom``, columns ``left..right``."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def is_empty(self) -> bool:
        return self.bottom <= self.top or self.right <= self.left

    def of(self, plane: Plane) -> Plane:
        return plane[self.top : self.bottom, self.left : self.right]

    def in_chroma(self) -> "_Region":
        """Return the chroma samples that belong to any pixel of this region."""
        return _Region(self.top // 2, (self.bottom + 1) // 2, self.left // 2, (self.right + 1) // 2)


@dataclass(frozen=True)
class Compositor:
    """Pastes generated faces into frames of one layout."""

    layout: FrameLayout

    @cached_property
    def _to_yuv(self) -> npt.NDArray[np.float64]:
        return bgr_to_yuv(self.layout.color)

    def paste(self, frame: I420Frame, face: BgrImage, crop: BgrImage, box: Box, mask: MouthMask) -> None:
        """Blend ``face`` into ``frame`` where ``mask`` says.

        ``face`` is what the model made of ``crop``, both (S, S, 3); ``box`` is where the crop was cut;
        ``mask`` is (S, S) with its weight in rows ``S // 2..``.
        """
        face, crop, mask = _near_box_size(box, face, crop, mask)
        region = self._region(box, mask)
        if region.is_empty:
            return
        matrix = self._to_yuv.copy()
        matrix[:, 3] += matrix[:, :3] @ measure_tint(face, crop, mask)
        bright, *colors = (
            np.asarray(channel, np.uint8) for channel in cv2.split(cv2.transform(face, matrix))
        )
        luma, *chroma = self.layout.planes(frame)
        patch = _stretched(bright, box, region, cv2.INTER_CUBIC)
        _blend(region.of(luma), patch, _stretched(mask, box, region, cv2.INTER_LINEAR))
        region = region.in_chroma()
        to_crop = _crop_position(box, mask.shape[0]) @ _CHROMA_TO_LUMA
        weight = _warped(mask, to_crop, region, cv2.BORDER_CONSTANT)
        for plane, color in zip(chroma, colors, strict=True):
            _blend(region.of(plane), _warped(color, to_crop, region, cv2.BORDER_REPLICATE), weight)

    def _region(self, box: Box, mask: MouthMask) -> _Region:
        """Return the part of the frame, inside the box, on which the mask has weight."""
        top, bottom, left, right = box.tolist()
        x, y, columns, rows = cv2.boundingRect(mask)
        first, last = _reach(y, rows, (bottom - top) / mask.shape[0])
        leftmost, rightmost = _reach(x, columns, (right - left) / mask.shape[1])
        return _Region(
            top=max(top + max(first, 0), 0),
            bottom=min(top + last, bottom, self.layout.height),
            left=max(left + max(leftmost, 0), 0),
            right=min(left + rightmost, right, self.layout.width),
        )


def _near_box_size(
    box: Box, face: BgrImage, crop: BgrImage, mask: MouthMask
) -> tuple[BgrImage, BgrImage, MouthMask]:
    """Average pictures of more than twice the box's size down to it: interpolation would skip pixels."""
    top, bottom, left, right = box.tolist()
    side = mask.shape[0]
    factor = side // max(bottom - top, right - left)
    if factor < 2:
        return face, crop, mask
    size = (side // factor, side // factor)
    face, crop, mask = (
        np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        for part in (face, crop, mask)
    )
    return face, crop, mask


def measure_tint(face: BgrImage, crop: BgrImage, mask: MouthMask) -> Tint:
    """Return the mean colour by which the skin around the mouth differs between ``crop`` and ``face``.

    Measured on the ring where the mask fades, since there the two pictures show the same skin.
    """
    size = mask.shape[0]
    rows = slice(size // 2, round(size * _CHEEK_ROWS))
    soft = mask[rows].astype(np.float32)
    weight = soft * (255 - soft)
    total = float(weight.sum())
    if total == 0:
        return np.zeros(3)
    difference = crop[rows].astype(np.float32) - face[rows]
    tint = np.einsum("yx,yxc->c", weight, difference) / total
    bounded: Tint = np.clip(tint.astype(np.float64), -_MAX_TINT, _MAX_TINT)
    return bounded


_CHROMA_TO_LUMA: Final = np.array([[2.0, 0, 0], [0, 2.0, 0.5], [0, 0, 1]])
"""Position of a chroma sample in luma pixels: left-sited (MPEG-2, the default of H.264)."""


def _crop_position(box: Box, size: int) -> Affine:
    """Return the affine from frame position to crop position, pixel centres at integers in both."""
    top, bottom, left, right = box.tolist()
    across, down = size / (right - left), size / (bottom - top)
    affine: Affine = np.array([[across, 0, (0.5 - left) * across - 0.5], [0, down, (0.5 - top) * down - 0.5]])
    return affine


def _reach(start: int, count: int, scale: float) -> tuple[int, int]:
    """Return which pixels of the box interpolate any of ``count`` crop pixels from ``start``."""
    return floor((start - 0.5) * scale - 0.5), ceil((start + count + 0.5) * scale + 0.5)


def _stretched(channel: Plane, box: Box, region: _Region, interpolation: int) -> Plane:
    """Stretch a channel of the crop to its box; return what lies in ``region`` of the frame."""
    top, bottom, left, right = box.tolist()
    whole = np.asarray(
        cv2.resize(channel, (right - left, bottom - top), interpolation=interpolation), np.uint8
    )
    return whole[region.top - top : region.bottom - top, region.left - left : region.right - left]


def _warped(channel: Plane, to_crop: Affine, region: _Region, border: int) -> Plane:
    """Sample a channel of the crop at the positions of ``region``."""
    affine = to_crop @ np.array([[1, 0, region.left], [0, 1, region.top], [0, 0, 1.0]])
    size = region.right - region.left, region.bottom - region.top
    return np.asarray(
        cv2.warpAffine(
            channel, affine, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border
        ),
        np.uint8,
    )


def _blend(background: Plane, patch: Plane, weight: MouthMask) -> None:
    alpha = weight.astype(np.float32) * np.float32(1 / 255)
    background[:] = cv2.blendLinear(patch, background, alpha, 1 - alpha)
