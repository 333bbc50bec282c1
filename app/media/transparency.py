"""Transparent pictures: decoded with their alpha, and laid onto a background.

What lies under transparent pixels is whatever the encoder liked, most often a room that was keyed out, so it
must not show. FFmpeg's own VP8 and VP9 decoders ignore the alpha that WebM keeps beside the pictures
(``alpha_mode``); libvpx reads it.
"""

from collections.abc import Sequence
from typing import Final, cast

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.media.frames import Color, Plane, bgr_to_yuv

_Values = npt.NDArray[np.float32]

ALPHA_FORMAT: Final = "yuva420p"
_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_BLUR_SIDE: Final = 32
"""The blurred background is computed this small: it is smooth, and costs next to nothing."""
_BLUR_SIGMA: Final = 4.0


def alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    """Return a decoder that keeps the alpha which the stream's own would drop; None if there is no need."""
    name = _DECODERS.get(stream.codec_context.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}  # a muxer may write it in capitals
    if name is None or tags.get("alpha_mode") != "1":
        return None
    return cast(av.VideoCodecContext, av.CodecContext.create(name, "r"))


def has_alpha(picture: av.VideoFrame) -> bool:
    """Return whether the pixel format of ``picture`` has transparency; a palette may."""
    form = picture.format
    return form.has_palette or any(component.is_alpha for component in form.components)


Behind = Sequence[Plane | np.float32] | None
"""Y, U and V, each a plane or one number for all of it; None: the picture itself, blurred."""


def lay_onto(behind: Behind, planes: Sequence[Plane], alpha: Plane) -> None:
    """Lay the Y, U and V planes of a picture onto ``behind``; ``alpha`` 255 is opaque."""
    half = np.asarray(cv2.resize(alpha, planes[1].shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    for channel, plane in enumerate(planes):
        weight = (half if channel else alpha).astype(np.float32) / np.float32(255)
        under = _blurred(plane, weight) if behind is None else behind[channel]
        plane[:] = np.rint(plane * weight + under * (1 - weight))


def solid(background: str, color: Color) -> Sequence[np.float32]:
    """Return Y, U and V of a colour written as ``#rrggbb``."""
    red, green, blue = bytes.fromhex(background.removeprefix("#"))
    values: _Values = bgr_to_yuv(color) @ np.array([blue, green, red, 1.0])
    return list(values.astype(np.float32))


def _blurred(plane: Plane, weight: _Values) -> _Values:
    """Spread what is opaque over all of the plane, softly."""
    size = (_BLUR_SIDE, _BLUR_SIDE)
    there = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    shown = cv2.resize(plane * weight, size, interpolation=cv2.INTER_AREA)
    mean = float(shown.sum() / there.sum()) if there.sum() else 128.0
    faint = 1e-3  # far from everything opaque, its mean
    spread = cv2.GaussianBlur(shown, (0, 0), _BLUR_SIGMA) + faint * mean
    spread /= cv2.GaussianBlur(there, (0, 0), _BLUR_SIGMA) + faint
    blurred = cv2.resize(spread, plane.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(blurred, 0, 255), np.float32)
