"""What the mouths of people who talk do, measured in pictures, in units of the person's own range."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.ear import Openings
from app.mouths.space import (
    MOST_TEETH,
    TEETH_UNITS,
    Meshes,
    MouthShapes,
    opening_of,
    pose_of,
    shape_space,
    speech_points,
    symmetrical,
    turned_front,
)
from app.mouths.teeth import ShownTeeth

Mouths = npt.NDArray[np.float64]
"""float64 (n, m + 3): speech points at the front (x, y of each), both rows of teeth, and the opening last."""

Flags = npt.NDArray[np.bool_]
"""bool (n,): which frames."""

REST_SHARE: Final = 0.2
"""A mouth is at rest within this share of the person's range above its 5th percentile."""


@dataclass(frozen=True)
class Manner:
    """How one person holds and moves the mouth: the resting mouth, and the range of the opening.

    ``span`` is the 95th less the 5th percentile of the opening, in distances of the inner eyes.
    """

    rest: Mouths
    span: float


def measure_mouths(meshes: Meshes, teeth: ShownTeeth) -> Mouths:
    """Return the mouths of meshes whose x, y and z have one unit."""
    turned = symmetrical(turned_front(speech_points(meshes), pose_of(meshes, shape_space().front)))
    flat = turned[:, :, :2].reshape(len(turned), -1)
    return np.column_stack([flat, np.asarray(teeth, np.float64) / TEETH_UNITS, opening_of(turned)])


def manner_of(mouths: Iterable[Mouths]) -> Manner:
    """Return the manner of the person whom all these mouths belong to."""
    every = np.concatenate(list(mouths))
    low, high = np.percentile(every[:, -1], (5, 95))
    at_rest = every[every[:, -1] <= low + REST_SHARE * (high - low)]
    return Manner(np.median(at_rest, axis=0), float(high - low))


def openings_of(mouths: Mouths, manner: Manner) -> Openings:
    """Return the opening above rest in units of the person's range."""
    opening: Openings = ((mouths[:, -1] - manner.rest[-1]) / manner.span).astype(np.float32)
    return opening


def shapes_of(mouths: Mouths, manner: Manner, average_span: float) -> MouthShapes:
    """Return the shapes, deviations from rest, as they would be of somebody with the average range."""
    moved = mouths - manner.rest
    teeth = np.clip(moved[:, -3:-1], -MOST_TEETH, MOST_TEETH)
    shapes = np.column_stack([moved[:, :-3] @ shape_space().basis.T, teeth])
    return (shapes * (average_span / manner.span)).astype(np.float32)
