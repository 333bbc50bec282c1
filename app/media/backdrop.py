"""A picture as the background of transparent footage: it fills the frame, its middle in the middle."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from app.errors import TooManyPixels, TooMuchMemory, UnsupportedMedia
from app.media.frames import BgrImage, FrameLayout, Plane, bgr_to_yuv
from app.media.limits import VideoLimits, check_pixels
from app.media.pictures import PictureForm, PictureReader
from app.media.probe import decode_pictures, open_video
from app.media.still import look_at
from app.media.treatment import GREY, Treatment

_ON_GREY: Final = Treatment(background=GREY)
"""A background that is transparent itself lies on grey."""


def read_backdrop(path: Path, limits: VideoLimits, layout: FrameLayout) -> list[Plane]:
    """Return the Y, U and V planes of the picture at ``path``, as frames of ``layout`` have them.

    Of an animated picture the first is taken. Raises UnsupportedMedia, TooManyPixels, TooMuchMemory.
    """
    try:
        return _filling(_read(path, limits), layout)
    except UnsupportedMedia as error:
        raise UnsupportedMedia(
            f"background: {_fault(path)}. Send a JPEG, PNG, GIF or still WebP, or a colour such as {GREY!r}."
        ) from error
    except (TooManyPixels, TooMuchMemory) as error:
        raise type(error)(f"background: {error.detail}") from error


def _read(path: Path, limits: VideoLimits) -> BgrImage:
    still = look_at(path)
    if still is None:
        raise UnsupportedMedia("The file is no picture.")
    with open_video(path, limits) as (container, stream):
        first = next(decode_pictures(container, stream), None)
        if first is None:
            raise UnsupportedMedia("The file shows nothing.")
        check_pixels(first.width, first.height, limits)
        form = PictureForm.of(first, _ON_GREY, still.orientation)
        return form.layout.to_bgr(PictureReader(form, _ON_GREY).read(first))


def _fault(path: Path) -> str:
    """Return what is wrong with a file that could not be read."""
    still = look_at(path)
    if still is not None and still.is_animated_webp:
        return "An animated WebP cannot be read"
    return "The file is not a readable picture" if path.stat().st_size else "The file is empty"


def _filling(image: BgrImage, layout: FrameLayout) -> list[Plane]:
    """Return a picture scaled to cover all of a frame; what stands out on two sides is cut off before."""
    height, width = image.shape[:2]
    scale = max(layout.width / width, layout.height / height)
    across = max(1, min(width, round(layout.width / scale)))
    down = max(1, min(height, round(layout.height / scale)))
    left, top = (width - across) // 2, (height - down) // 2
    filled = cv2.resize(
        image[top : top + down, left : left + across],
        (layout.width, layout.height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    yuv = cv2.transform(filled.astype(np.float32), bgr_to_yuv(layout.color))
    half = cv2.resize(yuv, (layout.width // 2, layout.height // 2), interpolation=cv2.INTER_AREA)
    planes = yuv[..., 0], half[..., 1], half[..., 2]
    return [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes]
