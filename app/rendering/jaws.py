"""A frame's own jaw gives way to that of the mouth that is laid on it.

Who shuts the mouth takes the jaw along. Where the frame's own mouth is more open, its jaw would be seen below
the one that is laid, as a second one, and beside it what is behind the lender. So the frame's own picture is
moved first, inward, until its jaw lies where the laid one does; the neck below follows, less and less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np

from app.faces.head import brow_to_chin
from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame, Plane
from app.mouths.bending import Field, nodes_of
from app.mouths.covers import FaceCover
from app.mouths.points import JAW
from app.mouths.types import Numbers
from app.rendering.sampling import Region, region_between
from app.rendering.stillness import Still

REACH: Final = 0.16
"""How far from its jaw a frame is moved at all, in distances from the brow to the chin, at least. With 0.3 of
them captions just below a chin were bent."""

FIRM: Final = 4.5
"""The same, at least, in lengths of what the jaw is moved by: little is stretched to more than 1.5 times its
length, and nothing is folded."""

MOST: Final = 0.12
"""Most that a jaw is moved by, in distances from the brow to the chin."""

SEEN: Final = 0.5
"""Pixels by which a jaw has to be moved for anybody to see it."""

TREMOR: Final = 0.003
"""How far two meshes of one jaw lie apart by their tremor, in distances from the brow to the chin: so much of
it stays where it was, which the mask's soft edge hides, or necks would tremble."""

ALONG: Final = 0.04
"""How far along the jaw the move of a point reaches, in distances from the brow to the chin."""

_JAW: Final = np.array(JAW)
_PIECES: Final = 2
"""Steps in which the line between two points of the jaw is taken."""

_NEXT: Final = np.eye(len(JAW), k=1) + np.diag([*[0.0] * (len(JAW) - 1), 1.0])
_ALONG: Final = _NEXT - _NEXT[::-1, ::-1]
"""Of the jaw's points the next one less the one before."""

_SMOOTH: Final = 0.5 * np.eye(len(JAW)) + 0.25 * (np.eye(len(JAW), k=1) + np.eye(len(JAW), k=-1))
"""A point of the jaw moves by the mean of its own length and its neighbours': a mesh trembles."""

_STEPS: Final = np.arange(_PIECES * (len(JAW) - 1) + 1) / _PIECES
_PIECE: Final = np.maximum(1 - np.abs(_STEPS[:, None] - np.arange(len(JAW))), 0)
"""What each of the jaw's points counts at each step along its line."""

_OF_CHIN: Final = 1 - np.square(np.linspace(-1, 1, len(JAW)))
"""How much the points of a jaw move that opens, as its chin does: it turns below the ears."""

_UPPER_LIP: Final = 13
"""Face Mesh point: the middle of the upper lip inside."""


@dataclass(frozen=True)
class GivingJaw:
    """How one frame's jaw gives way."""

    own: FaceLandmarks
    """float32 (468, 2): the frame's mesh."""
    moves: Numbers
    """float64 (13, 2): by how much the points of its jaw move, pixels."""

    @classmethod
    def to(
        cls,
        laid: FaceLandmarks,
        own: FaceLandmarks,
        cover: FaceCover | None = None,
        weight: float = 1.0,
        lag: float = 0.0,
    ) -> Self | None:
        """Let the jaw of a frame, whose mesh is ``own`` (468, 2), give way to that of ``laid``.

        It does where it lies beyond, by a share ``weight`` of that; points that ``cover`` hides stay. The
        chin lies ``lag`` pixels further beyond than the meshes say. None if nobody would see a difference.
        """
        jaw, height = own[_JAW].astype(np.float64), brow_to_chin(own)
        outward = _outward(jaw, own[_UPPER_LIP])
        beyond = ((jaw - laid[_JAW]) * outward).sum(axis=1)
        beyond = np.maximum(_SMOOTH @ beyond - TREMOR * height, 0) + lag * _OF_CHIN
        beyond = np.minimum(beyond, MOST * height)
        lengths = weight * beyond if cover is None else weight * beyond * (1 - cover.at(jaw))
        return cls(own, -lengths[:, None] * outward) if lengths.max() >= SEEN else None

    @property
    def landmarks(self) -> FaceLandmarks:
        """The frame's mesh, float32 (468, 2), once its jaw has given way."""
        landmarks = self.own.copy()
        landmarks[_JAW] += self.moves.astype(np.float32)
        return landmarks

    def move(self, layout: FrameLayout, frame: I420Frame, still: Still | None = None) -> None:
        """Move the frame's own picture, but for what stands ``still``."""
        jaw, lengths = self.own[_JAW] + self.moves, np.hypot(*self.moves.T)
        height = brow_to_chin(self.own)
        reach = max(REACH * height, FIRM * float(lengths.max()))
        far = reach * _reached(lengths)[:, None]
        region = region_between((jaw - far).min(axis=0), (jaw + far).max(axis=0), layout)
        if region is None:
            return
        field = _field(jaw, self.moves, region, reach, ALONG * height)
        held = None if still is None else still.over(region)
        luma, *chroma = layout.planes(frame)
        _shift([luma], field, region, 1, held)
        _shift(chroma, field, region, 2, held)


def _outward(jaw: Numbers, lip: FaceLandmarks) -> Numbers:
    """Return directions of length 1, (13, 2), across the line of a jaw (13, 2) and away from a lip (2,)."""
    across = (_ALONG @ jaw)[:, ::-1] * (1, -1)
    across /= np.maximum(np.hypot(across[:, 0], across[:, 1]), 1e-6)[:, None]
    tip = len(jaw) // 2  # of a profile the far points fold back: all have the side of the chin
    outward: Numbers = across * np.copysign(1.0, (jaw[tip] - lip) @ across[tip])
    return outward


def _reached(lengths: Numbers) -> Numbers:
    """Return within which share of the reach points that move so far (k,) take along what can be seen."""
    least = np.minimum(SEEN / 2 / np.maximum(lengths, 1e-6), 1)
    reached: Numbers = 0.5 + np.sin(np.arcsin(1 - 2 * least) / 3)  # where the share that moves is the least
    return reached


def _field(jaw: Numbers, moves: Numbers, region: Region, reach: float, along: float) -> Field:
    """Return by how much nodes of a region move: as the jaw does, less and less up to ``reach`` pixels."""
    across, down = nodes_of(region)
    line, moved = (_PIECE @ one for one in (jaw, moves))
    square = np.square(down[:, None] - line[:, 1])[:, None] + np.square(across[:, None] - line[:, 0])
    near = 1 / np.square(square + along**2)
    share = np.maximum(1 - np.sqrt(square.min(axis=-1)) / reach, 0)
    share *= share * (3 - 2 * share) / near.sum(axis=-1)
    field: Field = ((near @ moved) * share[..., None]).astype(np.float32)
    return field


def _shift(planes: Sequence[Plane], field: Field, region: Region, scale: int, held: Plane | None) -> None:
    """Move a region of a frame in planes whose pixels are ``scale`` of luma's.

    ``held`` is what stays, 0..255, of any size.
    """
    top, bottom, left, right = (edge // scale for edge in region)
    size = right - left, bottom - top
    across, down = (cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in cv2.split(field / scale))
    if held is not None:
        free = 1 - cv2.resize(held, size) / np.float32(255)
        across, down = across * free, down * free
    x = np.arange(left, right, dtype=np.float32) - across
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - down
    kind = cv2.INTER_CUBIC if scale == 1 else cv2.INTER_LINEAR
    for plane in planes:
        plane[top:bottom, left:right] = cv2.remap(plane, x, y, kind, borderMode=cv2.BORDER_REPLICATE)
