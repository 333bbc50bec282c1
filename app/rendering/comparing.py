"""What frames of a result are like beside those of the footage: seam, sharpness, how far the mouth opens."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import cv2
import numpy as np
import numpy.typing as npt

from app.avatars.avatar import Avatar
from app.faces.boxes import crop_affine
from app.faces.face_mesh import FaceMesh
from app.faces.geometry import composed
from app.faces.head import RIGID_POINTS
from app.faces.leaning import Levelled, levelled
from app.faces.mask import mouth_mask
from app.faces.regions import region_of_landmarks
from app.faces.types import Box, FaceLandmarks, has_face
from app.media.frames import BgrImage, I420Frame, Plane
from app.media.sharpness import fine_detail
from app.mouths.space import align, opening_of, shape_space, speech_points, symmetrical, turned_front
from app.rendering.framing import Framing

_SIDE: Final = 160
"""Side of the square in which the seam is measured, pixels."""
_RING: Final = 5
"""Width of the rings on both sides of the seam, pixels of that square."""
_SECTORS: Final = 24
"""Parts of the rings whose colours are compared, each with the one across the seam."""
_LEAST_PIXELS: Final = 6
"""Pixels that a part needs on either side, to be compared."""
_EDGE: Final = 64
"""Weight of the mask, 0..255, at which it begins to show."""
_MARGIN: Final = 0.25
"""What a face on a sheet has more than its box, on each side."""


@dataclass(frozen=True)
class Pair:
    """A frame of the result, decoded, and the frame of the footage that it was made of, framed alike."""

    made: I420Frame
    avatar: Avatar
    source: int
    """The frame of the footage."""
    framing: Framing
    leaning: bool
    """Whether the mouth of a head that leans was changed as the head leans; else upright."""

    @cached_property
    def own(self) -> I420Frame:
        """The frame of the footage, framed; read when it is asked for."""
        frame = np.empty(self.avatar.layout.frame_bytes, np.uint8)
        self.avatar.frames.read_into(self.source, frame)
        return self.framing.framed(frame)

    @cached_property
    def box(self) -> Box:
        """That of the face, in the result."""
        return self.framing.framed_box(self.avatar.boxes[self.source])

    @cached_property
    def landmarks(self) -> FaceLandmarks:
        """Of the footage's frame, in the result."""
        return self.framing.framed_points(self.avatar.landmarks[self.source])

    @cached_property
    def _level(self) -> Levelled:
        return levelled(self.landmarks, self.box) if self.leaning else Levelled(self.box, None)

    @cached_property
    def _mask(self) -> npt.NDArray[np.uint8]:
        return mouth_mask(self._level.points(self.landmarks), self._level.box, _SIDE)

    def seams(self) -> tuple[float, float] | None:
        """Return the mean Delta E (CIE76) across the mask's edge: of the result, and of the footage."""
        inside = (self._mask >= _EDGE).astype(np.uint8)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING + 1, 2 * _RING + 1))
        within = (inside > 0) & (cv2.erode(inside, kernel) == 0)
        beyond = (inside == 0) & (cv2.dilate(inside, kernel) > 0)
        rows, columns = np.nonzero(inside)
        if not len(rows):
            return None
        middle = float(rows.mean()), float(columns.mean())
        sides = _Side.of(within, middle), _Side.of(beyond, middle)
        shared = np.minimum(sides[0].counts, sides[1].counts) >= _LEAST_PIXELS
        if not shared.any():
            return None
        made, own = (_step(self._square(frame), sides, shared) for frame in (self.made, self.own))
        return made, own

    def details(self) -> tuple[float, float] | None:
        """Return the fine detail of the mouth: of the result, and of the footage. See ``fine_detail``."""
        rows, columns = np.nonzero(self._mask >= 128)
        if not len(rows):
            return None
        top, bottom, left, right = self._level.box.tolist()
        height, width = (bottom - top) / _SIDE, (right - left) / _SIDE
        down = round(top + rows.min() * height), round(top + rows.max() * height)
        across = round(left + columns.min() * width), round(left + columns.max() * width)
        made, own = (self._level_luma(frame, down, across) for frame in (self.made, self.own))
        return (fine_detail(made), fine_detail(own)) if made.size else None

    def opening(self, mesh: FaceMesh) -> float | None:
        """Return how far the mouth of the result is open, in distances of the inner eyes; None if unseen."""
        fit = mesh.fit(self.made, self.framing.layout, region_of_landmarks(self.landmarks))
        if fit is None:
            return None
        points = fit.mesh[None].astype(np.float64)
        pose = align(points[:, list(RIGID_POINTS)], shape_space().front)
        return float(opening_of(symmetrical(turned_front(speech_points(points), pose)))[0])

    def picture(self, side: int) -> BgrImage:
        """Return the faces of the footage and of the result side by side, each ``side`` pixels square.

        Of a frame without a face, all of it.
        """
        layout, margin = self.framing.layout, 0.0
        top, bottom, left, right = 0.0, float(layout.height), 0.0, float(layout.width)
        if has_face(self.avatar.boxes[self.source : self.source + 1])[0]:
            (top, bottom, left, right), margin = (float(edge) for edge in self.box), _MARGIN
        extent = max(bottom - top, right - left) * (1 + 2 * margin)
        x, y = (left + right - extent) / 2, (top + bottom - extent) / 2
        affine = crop_affine(np.array([y, y + extent, x, x + extent]), side)
        faces = [layout.sample_bgr(frame, affine, (side, side)) for frame in (self.own, self.made)]
        return np.hstack(faces)

    def _level_luma(self, frame: I420Frame, rows: tuple[int, int], columns: tuple[int, int]) -> Plane:
        """Return a part of the luma of a frame, turned about the face as far as it is levelled.

        ``rows`` and ``columns`` are the first and the one after the last of it. Beyond the frame there is
        nothing, or, in a part that is turned, what its border shows.
        """
        luma = self.framing.layout.planes(frame)[0]
        (top, bottom), (left, right) = rows, columns
        size = (right - left, bottom - top)
        if self._level.to_frame is None or 0 in size:
            return luma[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        moved = composed(self._level.to_frame, np.array([[1.0, 0.0, left], [0.0, 1.0, top]]))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(luma, moved, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(part, np.uint8)

    def _square(self, frame: I420Frame) -> BgrImage:
        """Cut the box out of a frame, stretched to a square."""
        affine, turned = crop_affine(self._level.box, _SIDE), self._level.to_frame
        affine = affine if turned is None else composed(turned, affine)
        return self.framing.layout.sample_bgr(frame, affine, (_SIDE, _SIDE))


@dataclass(frozen=True)
class _Side:
    """One side of the seam: its pixels, the part in which each of them lies, and how many each part has."""

    pixels: npt.NDArray[np.bool_]
    parts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, pixels: npt.NDArray[np.bool_], middle: tuple[float, float]) -> Self:
        """Divide the ``pixels`` of a square by their direction from its ``middle``, a row and a column."""
        rows, columns = np.nonzero(pixels)
        turns = (np.arctan2(rows - middle[0], columns - middle[1]) + np.pi) / (2 * np.pi)
        parts = (turns * _SECTORS).astype(np.int64) % _SECTORS
        return cls(pixels, parts, np.bincount(parts, minlength=_SECTORS))

    def colors(self, picture: BgrImage) -> npt.NDArray[np.float64]:
        """Return the mean colour of each part of a picture, (parts, 3), in CIELAB."""
        pixels = picture[self.pixels][None].astype(np.float32) / 255
        lab = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2Lab), np.float32)[0]
        sums = [np.bincount(self.parts, channel, _SECTORS) for channel in lab.T]
        return np.stack(sums, axis=1) / np.maximum(self.counts, 1)[:, None]


def _step(picture: BgrImage, sides: tuple[_Side, _Side], shared: npt.NDArray[np.bool_]) -> float:
    """Return the mean difference of colour across the seam, over the parts that both sides have."""
    within, beyond = (side.colors(picture)[shared] for side in sides)
    return float(np.linalg.norm(within - beyond, axis=1).mean())
