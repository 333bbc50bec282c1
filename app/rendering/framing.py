"""Cropping and scaling: the whole frame or a square around the face, at full size or smaller.

This module alone knows where a pixel of the footage is in the result.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np

from app.errors import InvalidRequest
from app.faces.types import Box, Boxes, FaceLandmarks, has_face
from app.media.frames import DeepFrame, DeepPlane, FrameLayout, I420Frame, Plane, YuvaFrame
from app.rendering.options import RenderOptions

PlaneT = TypeVar("PlaneT", Plane, DeepPlane)

FACE_MARGIN: Final = 0.2
"""What the face's square has more than the face boxes, on each side, as a share of their extent."""


@dataclass(frozen=True)
class Framing:
    """A part of frames of one layout, scaled to another."""

    source: FrameLayout
    left: int
    top: int
    width: int
    height: int
    """The part: pixels, even."""
    layout: FrameLayout
    """Size and colour of what is shown."""

    @property
    def is_all(self) -> bool:
        """Whether frames are shown as they are."""
        return self.layout == self.source

    def framed(self, frame: I420Frame) -> I420Frame:
        """Return what is shown of a frame of any kind; the frame itself if it is all."""
        if self.is_all:
            return frame
        if len(frame) == self.source.deep_bytes:
            return self._frame_deep(frame)
        if len(frame) == self.source.transparent_bytes:
            return self._frame_transparent(frame)
        framed = np.empty(self.layout.frame_bytes, np.uint8)
        for plane, target in zip(self.source.planes(frame), self.layout.planes(framed), strict=True):
            scaled(self.part(plane), target)
        return framed

    def framed_points(self, points: FaceLandmarks) -> FaceLandmarks:
        """Return where points of the source are in what is shown, pixels."""
        corner = np.array([self.left, self.top])
        scale = np.array([self.layout.width / self.width, self.layout.height / self.height])
        return np.asarray((points + 0.5 - corner) * scale - 0.5, np.float32)

    def framed_box(self, box: Box) -> Box:
        """Return where a face box of the source is in what is shown, pixels."""
        top, bottom, left, right = box.tolist()
        edges = self.framed_points(np.array([[left, top], [right, bottom]], np.float32) - 0.5) + 0.5
        return np.asarray(np.rint(edges[:, ::-1].T.ravel()), np.int32)

    def _frame_deep(self, frame: DeepFrame) -> DeepFrame:
        framed = np.empty(self.layout.deep_bytes, np.uint8)
        planes = self.source.deep_planes(frame), self.layout.deep_planes(framed)
        for plane, target in zip(*planes, strict=True):
            scaled(self.part(plane), target)
        return framed

    def _frame_transparent(self, frame: YuvaFrame) -> YuvaFrame:
        """Colours count as much as they are opaque: those beside an edge must not bleed over it."""
        framed = np.empty(self.layout.transparent_bytes, np.uint8)
        opacity = self.part(self.source.opacity(frame))
        scaled(opacity, self.layout.opacity(framed))
        colors, targets = frame[: self.source.frame_bytes], framed[: self.layout.frame_bytes]
        for whole, target in zip(self.source.planes(colors), self.layout.planes(targets), strict=True):
            plane = self.part(whole)
            scaled(plane, target)
            if plane.shape != target.shape:
                weight = cv2.resize(opacity, plane.shape[::-1], interpolation=cv2.INTER_AREA)
                weight = weight.astype(np.float32)
                size = target.shape[::-1]
                total = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
                color = cv2.resize(plane * weight, size, interpolation=cv2.INTER_AREA)
                seen = total > 0
                target[seen] = np.rint(color[seen] / total[seen])
        return framed

    def part(self, plane: PlaneT) -> PlaneT:
        """Return what of a plane of the source is shown; its chroma has half the size."""
        shrink = self.source.width // plane.shape[1]
        top, left = self.top // shrink, self.left // shrink
        return plane[top : top + self.height // shrink, left : left + self.width // shrink]


def scaled(plane: PlaneT, target: PlaneT) -> None:
    """Fill ``target`` with ``plane``, averaged down to its size."""
    if plane.shape == target.shape:
        np.copyto(target, plane)
    else:
        cv2.resize(plane, target.shape[::-1], dst=target, interpolation=cv2.INTER_AREA)


def frame_of(options: RenderOptions, source: FrameLayout, boxes: Boxes) -> Framing:
    """Return the framing that is asked for; ``boxes`` are the face boxes of the frames that are used.

    Raises InvalidRequest if it is larger than what there is, or there is no face to be cut out.
    """
    left, top, width, height = 0, 0, source.width, source.height
    if options.crop == "face":
        left, top, width = _face_square(source, boxes)
        height = width
    wanted = options.height or height
    if wanted > height:
        raise InvalidRequest(
            f"height: the result is {height} pixels high and can only be made smaller; {wanted} is more."
        )
    across = max(2, round(width * wanted / height / 2) * 2)
    return Framing(source, left, top, width, height, FrameLayout(across, wanted, source.color))


def _face_square(source: FrameLayout, boxes: Boxes) -> tuple[int, int, int]:
    """Return left, top and side of the smallest even square about the face boxes of all frames."""
    shown = boxes[has_face(boxes)]
    if not len(shown):
        raise InvalidRequest("crop: no face is visible in the part of the clip that is used.")
    top, bottom = int(shown[:, 0].min()), int(shown[:, 1].max())
    left, right = int(shown[:, 2].min()), int(shown[:, 3].max())
    wanted = round(max(bottom - top, right - left) * (1 + 2 * FACE_MARGIN))
    side = min(wanted, source.width, source.height) // 2 * 2
    x = min(max(0, (left + right - side) // 2), source.width - side) // 2 * 2
    y = min(max(0, (top + bottom - side) // 2), source.height - side) // 2 * 2
    return x, y, side
