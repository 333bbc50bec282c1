"""Frames as FFmpeg's decoder gives them and x264 takes them: three planes, no conversion in between.

A frame of ``width`` x ``height`` (both even) is one flat array: the Y plane, then U, then V (I420). Nothing
in the render path converts a whole frame to BGR: only the region of the face is sampled, and only it is
written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.media.color import ColorMatrix, ColorRange

I420Frame = npt.NDArray[np.uint8]
"""Flat uint8 array of width * height * 3 // 2 bytes: Y, U, V planes one after the other."""

DeepFrame = npt.NDArray[np.uint8]
"""Flat uint8 array of width * height * 3 bytes: Y, U, V planes of 10-bit numbers, two bytes each."""

DeepPlane = npt.NDArray[np.uint16]
"""uint16 (rows, columns): one plane of a deep frame."""

YuvaFrame = npt.NDArray[np.uint8]
"""Flat uint8 array of width * height * 5 // 2 bytes: an I420 frame, then a plane of opacities, 0..255."""

Plane = npt.NDArray[np.uint8]
"""uint8 (rows, columns): one plane of a frame."""

FramePieces = Sequence[npt.NDArray[np.uint8]]
"""The bytes of a frame, in contiguous arrays one after the other: of any kind of frame, often its planes."""

BgrImage = npt.NDArray[np.uint8]
"""uint8 (rows, columns, 3), blue-green-red, full range 0..255."""

Affine = npt.NDArray[np.float64]
"""float64 (2, 3): output pixel (x, y, 1) to frame position in luma pixels, pixel centres at integers."""

_LUMA_WEIGHTS: Final = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""(Kr, Kb) of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance)."""


@dataclass(frozen=True)
class Color:
    """How YUV numbers mean colours, and the tags with which that is said in a file.

    ``matrix`` and ``range`` are used to compute. ``primaries``, ``transfer`` and ``matrix_code`` are the
    codes of ITU-T H.273 as the source states them (2 = unspecified): carried from file to file, not used.
    """

    matrix: ColorMatrix = "bt709"
    range: ColorRange = "limited"
    primaries: int = 2
    transfer: int = 2
    matrix_code: int = 2


@dataclass(frozen=True)
class FrameLayout:
    """Size and colour of the frames of one video: what a flat array needs to become a picture."""

    width: int
    height: int
    color: Color = Color()

    def __post_init__(self) -> None:
        if self.width < 2 or self.height < 2 or self.width % 2 or self.height % 2:
            raise ValueError(f"frame size must be even and positive, not {self.width}x{self.height}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.width * self.height * 3 // 2

    @property
    def transparent_bytes(self) -> int:
        """Bytes of a frame that has a fourth plane, of how opaque its pixels are."""
        return self.frame_bytes + self.width * self.height

    @property
    def deep_bytes(self) -> int:
        """Bytes of a frame of 10 bits."""
        return 2 * self.frame_bytes

    def deep_planes(self, frame: DeepFrame) -> tuple[DeepPlane, DeepPlane, DeepPlane]:
        """Return views of the Y (h, w), U and V (h/2, w/2) planes of ``frame``."""
        luma, chroma = self.width * self.height, self.width * self.height // 4
        numbers, half = frame.view("<u2"), (self.height // 2, self.width // 2)
        return (
            numbers[:luma].reshape(self.height, self.width),
            numbers[luma : luma + chroma].reshape(half),
            numbers[luma + chroma :].reshape(half),
        )

    def opacity(self, frame: YuvaFrame) -> Plane:
        """Return a view of the fourth plane of ``frame``, (h, w), 255 where it is opaque."""
        return frame[self.frame_bytes :].reshape(self.height, self.width)

    def planes(self, frame: I420Frame) -> tuple[Plane, Plane, Plane]:
        """Return views of the Y (h, w), U and V (h/2, w/2) planes of ``frame``."""
        luma, chroma = self.width * self.height, self.width * self.height // 4
        half = (self.height // 2, self.width // 2)
        return (
            frame[:luma].reshape(self.height, self.width),
            frame[luma : luma + chroma].reshape(half),
            frame[luma + chroma :].reshape(half),
        )

    def rows(self, top: int, bottom: int) -> list[slice]:
        """Return where the rows from ``top`` to ``bottom``, both even, lie in a frame: of Y, U and V."""
        luma, chroma = self.width * self.height, self.width * self.height // 4
        first, last = top // 2 * self.width // 2, bottom // 2 * self.width // 2
        starts = (luma, luma + chroma)
        return [slice(top * self.width, bottom * self.width)] + [slice(s + first, s + last) for s in starts]

    def sample_bgr(
        self, frame: I420Frame, affine: Affine, size: tuple[int, int], chroma_right: float = 0.0
    ) -> BgrImage:
        """Cut a (width, height) = ``size`` BGR picture out of ``frame`` through ``affine``, bilinear.

        Positions outside the frame repeat its edge. Chroma is taken as left-sited (MPEG-2, H.264 default), or
        so many luma pixels to the right of that.
        """
        chroma_affine = affine / 2
        chroma_affine[0, 2] -= chroma_right / 2
        chroma_affine[1, 2] -= 0.25  # vertically, chroma samples lie between two luma rows
        planes = [
            cv2.warpAffine(
                plane,
                affine if channel == 0 else chroma_affine,
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for channel, plane in enumerate(self.planes(frame))
        ]
        return np.asarray(cv2.transform(cv2.merge(planes), yuv_to_bgr(self.color)), np.uint8)

    def to_bgr(self, frame: I420Frame) -> BgrImage:
        """Convert a whole frame: for previews and tests, not for the render path."""
        return self.sample_bgr(frame, np.eye(2, 3), (self.width, self.height))


@cache
def bgr_to_yuv(color: Color) -> npt.NDArray[np.float64]:
    """Return the float64 (3, 4) matrix from (b, g, r, 1) in 0..255 to (y, u, v) in 0..255 (ITU-T H.273).

    It is made once, and cannot be written to.
    """
    kr, kb = _LUMA_WEIGHTS[color.matrix]
    luma = np.array([kb, 1 - kr - kb, kr])
    blue = (np.array([1.0, 0, 0]) - luma) / (2 * (1 - kb))
    red = (np.array([0, 0, 1.0]) - luma) / (2 * (1 - kr))
    y_scale, c_scale, y_offset = (219 / 255, 224 / 255, 16.0) if color.range == "limited" else (1.0, 1.0, 0.0)
    rows = np.stack([luma * y_scale, blue * c_scale, red * c_scale])
    return _read_only(np.hstack([rows, [[y_offset], [128.0], [128.0]]]))


@cache
def yuv_to_bgr(color: Color) -> npt.NDArray[np.float64]:
    """Return the float64 (3, 4) matrix from (y, u, v, 1) to (b, g, r), the inverse of :func:`bgr_to_yuv`."""
    forward = bgr_to_yuv(color)
    inverse = np.linalg.inv(forward[:, :3])
    return _read_only(np.hstack([inverse, -inverse @ forward[:, 3:]]))


def _read_only(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    matrix.flags.writeable = False
    return matrix
