"""Where on one frame's head the mouth of another frame belongs, and how it is bent to a wanted shape.

The rigid points of two heads give an affine map from one frame's positions to the other's. That map is flat:
what two heads that are turned differently show elsewhere, their jaws above all, is known from the person's
face in space, and is a displacement of its own, the parallax. What a lender's shape still lacks is another.
Both are spread over the face by a thin-plate spline (F. Bookstein, "Principal Warps", 1989).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.geometry import mapped
from app.faces.head import eyes_apart, head_affine
from app.faces.types import FaceLandmarks
from app.media.frames import Affine
from app.mouths.person import Person
from app.mouths.points import SPEECH_POINTS
from app.mouths.space import COMPONENTS, shape_space
from app.mouths.types import Numbers

Field = npt.NDArray[np.float32]
"""float32 (rows, columns, 2 or 4): x, y of a displacement, or of two, at every node of a grid."""

_UNIQUE: Final = np.unique(SPEECH_POINTS, return_index=True)[1]
BENT: Final = np.array(SPEECH_POINTS)[_UNIQUE]
"""The speech points, each once: the corners of the lips end two rows."""

ANCHORS: Final = (33, 263, 168, 4, 127, 356, 98, 327, 2, 116, 345, 10, 132, 361, 58, 288)
"""Points that a bend leaves where they are: still ones, and the corners of the jaw."""

FIRMNESS: Final = 2e-3
"""How little the spline gives way at the points, which tremble a little: 0 would go through all of them."""

NODES: Final = (14, 18)
"""Rows and columns of the grid on which a bend is computed."""

_ENDS: Final = np.concatenate([BENT, ANCHORS])
"""All points between which a bend is spread."""

NARROWEST: Final = 0.6
"""Of a head that is turned by 53 degrees: meshes of profiles do not tell how much further those are."""

_BACK: Final = np.linalg.pinv(shape_space().basis)[:, :COMPONENTS]


@dataclass(frozen=True)
class Placing:
    """How a lender lies on a frame: ``head`` maps the frame's positions to the lender's."""

    head: Affine
    laid: FaceLandmarks
    """float32 (468, 2): the lender's mesh on the frame's head, turned as it is, before it is bent."""
    turned: Numbers
    """float64 (468, 2): by how much the parallax moved the points of ``laid``, pixels of the frame."""
    moves: Numbers
    """float64 (63, 2): by how much the speech points are bent, pixels of the frame."""
    narrowed: float = 1.0
    """What the turn of the frame's head leaves of a length that lies across it, :data:`NARROWEST` to 1."""

    @property
    def lent(self) -> FaceLandmarks:
        """The lender's mesh in its own frame, float32 (468, 2)."""
        return mapped(self.laid - self.turned, self.head).astype(np.float32)

    @cached_property
    def points(self) -> FaceLandmarks:
        """The lender's mesh on the frame's head, bent."""
        points = self.laid.copy()
        points[BENT] += self.moves.astype(np.float32)
        return points


def place(
    person: Person,
    landmarks: npt.NDArray[np.float32],
    frame: int,
    lender: int,
    lack: Numbers,
    mesh: FaceLandmarks | None = None,
) -> Placing:
    """Lay the mouth of ``lender`` onto the head of ``frame``, its components changed by ``lack`` (6,).

    ``mesh`` (468, 2) is the lender's, None for that of the study.
    """
    lent = person.study.meshes[lender, :, :2] if mesh is None else mesh
    head = head_affine(landmarks[frame], landmarks[lender])
    turned = _parallax(person, frame, lender)
    laid = (mapped(lent.astype(np.float64), _inverse(head)) + turned).astype(np.float32)
    narrowed = max(float(np.hypot(*person.pose.turn[frame, :2, 0])), NARROWEST)
    return Placing(head, laid, turned, _moves(person, frame, lack), narrowed)


def bend(placing: Placing, landmarks: FaceLandmarks, region: tuple[int, int, int, int]) -> Field:
    """Return the displacements, in pixels of the lender, to add to ``head`` over a region of the frame.

    The field has x, y of the parallax, then of what bends the mouth. ``region`` is top, bottom, left, right;
    its :data:`NODES` lie each in the middle of its cell.
    """
    eye = eyes_apart(landmarks)
    goals, moved = np.empty((len(_ENDS), 2)), np.zeros((len(_ENDS), 4))
    goals[: len(BENT)] = placing.laid[BENT] + placing.moves
    goals[len(BENT) :] = landmarks[_ENDS[len(BENT) :]]
    moved[:, :2] = placing.turned[_ENDS]
    moved[: len(BENT), 2:] = placing.moves
    values = -(moved.reshape(-1, 2) @ placing.head[:, :2].T).reshape(-1, 4)
    where = np.empty((*NODES, 2))
    across, down = nodes_of(region)
    where[..., 0], where[..., 1] = across, down[:, None]
    fields = _thin_plate(goals / eye, values, where.reshape(-1, 2) / eye)
    return fields.reshape(*NODES, 4).astype(np.float32)


def nodes_of(region: tuple[int, int, int, int]) -> tuple[Numbers, Numbers]:
    """Return where :data:`NODES` lie in a region, across and down: each in the middle of its cell."""
    top, bottom, left, right = region
    rows, columns = NODES
    across = (np.arange(columns) + 0.5) * (right - left) / columns - 0.5 + left
    return across, (np.arange(rows) + 0.5) * (bottom - top) / rows - 0.5 + top


def _parallax(person: Person, frame: int, lender: int) -> Numbers:
    """Return what an affine map lacks of laying a turned face (468, 2) onto another, pixels of the frame."""
    here, there = (person.turned(index) for index in (frame, lender))
    between = head_affine(here.astype(np.float32), there.astype(np.float32))
    return here - mapped(there, _inverse(between))


def _inverse(affine: Affine) -> Affine:
    return np.asarray(cv2.invertAffineTransform(affine), np.float64)


def _moves(person: Person, frame: int, lack: Numbers) -> Numbers:
    deviation = np.zeros((len(SPEECH_POINTS), 3))
    deviation[:, :2] = (_BACK @ lack).reshape(-1, 2)
    turned = deviation @ person.pose.turn[frame].T / person.pose.scale[frame]
    moves: Numbers = turned[_UNIQUE, :2]
    return moves


def _thin_plate(points: Numbers, values: Numbers, where: Numbers) -> Numbers:
    count = len(points)
    kernel = _kernel(np.concatenate([points, where]), count)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel[:count]
    system[np.arange(count), np.arange(count)] += FIRMNESS
    system[:count, count] = 1
    system[:count, count + 1 :] = points
    system[count:, :count] = system[:count, count:].T
    asked = np.zeros((count + 3, values.shape[1]))
    asked[:count] = values
    solution = np.linalg.solve(system, asked)
    result: Numbers = kernel[count:] @ solution[:count]
    result += where @ solution[count + 1 :] + solution[count]
    return result


def _kernel(places: Numbers, count: int) -> Numbers:
    """Return what the spline counts between all places (k, 2) and the first ``count`` of them."""
    lengths = np.square(places) @ np.ones(2)
    square = places @ (-2 * places[:count].T)
    square += lengths[:, None]
    square += lengths[:count]
    np.maximum(square, 1e-12, out=square)
    kernel = np.asarray(cv2.log(square), np.float64)  # numpy's takes four times as long
    kernel *= square
    kernel *= 0.5
    return kernel
