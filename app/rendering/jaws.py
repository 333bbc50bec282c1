"""A frame's own jaw gives way to that of the mouth that is laid on it.

Who shuts the mouth takes the jaw along. Where the frame's own mouth is more open, its jaw would be seen below
the one that is laid, as a second one, and beside it what is behind the lender. So the frame's own picture is
moved first, inward, until its jaw lies where the laid one does; the neck below follows, less and less.
"""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np

from app.faces.boxes import CHIN
from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame, Plane
from app.mouths.bending import Field
from app.mouths.covers import FaceCover
from app.mouths.points import JAW
from app.mouths.types import Numbers
from app.rendering.sampling import Region

REACH: Final = 0.3
"""How far from its jaw a frame is moved at all, in distances from the brow to the chin, at least: as far as a
collar, by eye, on 28 people."""

FIRM: Final = 3.0
"""The same, at least, in lengths of what the jaw is moved by: nothing is stretched to more than twice its
length, or folded."""

MOST: Final = 0.12
"""Most that a jaw is moved by, in distances from the brow to the chin."""

SEEN: Final = 0.5
"""Pixels by which a jaw has to be moved for anybody to see it."""

SMOOTH: Final = (0.25, 0.5, 0.25)
"""A point of the jaw moves by the mean of its own length and its neighbours': a mesh trembles."""

ALONG: Final = 0.04
"""How far along the jaw the move of a point reaches, in distances from the brow to the chin."""

NODES: Final = (14, 18)
"""Rows and columns of the grid on which a move is computed."""

_JAW: Final = np.array(JAW)
_PIECES: Final = 2
"""Steps in which the line between two points of the jaw is taken."""

_STEPS: Final = np.arange(_PIECES * (len(JAW) - 1) + 1) / _PIECES
_PIECE: Final = np.maximum(1 - np.abs(_STEPS[:, None] - np.arange(len(JAW))), 0)
"""What each of the jaw's points counts at each step along its line."""

_BROW, _UPPER_LIP = 168, 13
"""Face Mesh points: between the eyes, and the middle of the upper lip inside."""


@dataclass(frozen=True)
class GivingJaw:
    """How one frame's jaw gives way."""

    own: FaceLandmarks
    """float32 (468, 2): the frame's mesh."""
    moves: Numbers
    """float64 (13, 2): by how much the points of its jaw move, pixels."""

    @classmethod
    def to(cls, laid: FaceLandmarks, own: FaceLandmarks, cover: FaceCover | None = None) -> Self | None:
        """Let the jaw of a frame, whose mesh is ``own`` (468, 2), give way to that of ``laid``.

        It does where it lies beyond; what ``cover`` hides stays. None if nobody would see a difference.
        """
        jaw = own[_JAW].astype(np.float64)
        outward = _outward(jaw, own[_UPPER_LIP])
        beyond = ((jaw - laid[_JAW]) * outward).sum(axis=1)
        lengths = np.convolve(np.clip(beyond, 0, MOST * _height(own)), SMOOTH, "same")
        if cover is not None:
            lengths *= 1 - cover.at(jaw)
        return cls(own, -lengths[:, None] * outward) if lengths.max() >= SEEN else None

    @property
    def landmarks(self) -> FaceLandmarks:
        """The frame's mesh, float32 (468, 2), once its jaw has given way."""
        landmarks = self.own.copy()
        landmarks[_JAW] += self.moves.astype(np.float32)
        return landmarks

    def move(self, layout: FrameLayout, frame: I420Frame, weight: float = 1.0) -> None:
        """Move the frame's own picture by a share ``weight`` of the whole, 0..1."""
        moves = weight * self.moves
        jaw, lengths = self.own[_JAW] + moves, np.linalg.norm(moves, axis=1)
        reach = max(REACH * _height(self.own), FIRM * float(lengths.max()))
        region = _around(jaw, reach * _reached(lengths), layout)
        if region is None:
            return
        field = _field(jaw, moves, region, reach, ALONG * _height(self.own))
        for plane, scale in zip(layout.planes(frame), (1, 2, 2), strict=True):
            _shift(plane, field, region, scale)


def _height(landmarks: FaceLandmarks) -> float:
    return float(np.linalg.norm(landmarks[CHIN] - landmarks[_BROW]))


def _outward(jaw: Numbers, lip: FaceLandmarks) -> Numbers:
    """Return directions of length 1, (13, 2), across the line of a jaw (13, 2) and away from a lip (2,)."""
    along = np.gradient(jaw, axis=0)
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    outward: Numbers = across * np.sign(((jaw - lip) * across).sum(axis=1, keepdims=True))
    return outward


def _reached(lengths: Numbers) -> Numbers:
    """Return within which share of the reach points that move so far (k,) take along what can be seen."""
    least = np.clip(SEEN / 2 / np.maximum(lengths, 1e-6), 0, 1)
    reached: Numbers = 0.5 + np.sin(np.arcsin(1 - 2 * least) / 3)  # where the share that moves is the least
    return reached


def _around(points: Numbers, reach: Numbers, layout: FrameLayout) -> Region | None:
    """Return the part of a frame within ``reach`` (k,) pixels of points (k, 2); None for none."""
    if not reach.any():
        return None
    points, reach = points[reach > 0], reach[reach > 0, None]
    (left, top), (right, bottom) = (points - reach).min(axis=0), (points + reach).max(axis=0)
    limits = (layout.height, layout.height, layout.width, layout.width)
    first, last, start, stop = (
        min(max(2 * round(edge / 2), 0), limit)
        for edge, limit in zip((top, bottom, left, right), limits, strict=True)
    )
    return (first, last, start, stop) if last - first >= 4 and stop - start >= 4 else None


def _field(jaw: Numbers, moves: Numbers, region: Region, reach: float, along: float) -> Field:
    """Return by how much nodes of a region move: as the jaw does, less and less up to ``reach`` pixels."""
    top, bottom, left, right = region
    across = (np.arange(NODES[1]) + 0.5) * (right - left) / NODES[1] - 0.5 + left
    down = (np.arange(NODES[0]) + 0.5) * (bottom - top) / NODES[0] - 0.5 + top
    line, moved = (_PIECE @ one for one in (jaw, moves))
    square = np.square(down[:, None] - line[:, 1])[:, None] + np.square(across[:, None] - line[:, 0])
    near = 1 / np.square(square + along**2)
    share = np.maximum(1 - np.sqrt(square.min(axis=-1)) / reach, 0)
    share *= share * (3 - 2 * share) / near.sum(axis=-1)
    field: Field = ((near @ moved) * share[..., None]).astype(np.float32)
    return field


def _shift(plane: Plane, field: Field, region: Region, scale: int) -> None:
    """Move a region of a frame in one of its planes, whose pixels are ``scale`` of luma's."""
    top, bottom, left, right = (edge // scale for edge in region)
    size = right - left, bottom - top
    across, down = (cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in cv2.split(field / scale))
    x = np.arange(left, right, dtype=np.float32) - across
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - down
    kind = cv2.INTER_CUBIC if scale == 1 else cv2.INTER_LINEAR
    plane[top:bottom, left:right] = cv2.remap(plane, x, y, kind, borderMode=cv2.BORDER_REPLICATE)
