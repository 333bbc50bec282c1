"""Mouth shapes of a pack: what ``app/mouths/space.py`` describes, for every frame of every speaker."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.faces.head import RIGID_POINTS
from app.mouths.meeting import REST_SHARE
from app.mouths.mesh import LEAST_PRESENCE
from app.mouths.points import SPEECH_POINTS
from app.mouths.space import (
    MOST_TEETH,
    TEETH_UNITS,
    Canonical,
    MouthShapes,
    align,
    opening_of,
    shape_space,
    symmetrical,
    turned_front,
)
from app.mouths.types import Flags
from training.cache import Cache

Groups = npt.NDArray[np.str_]
"""str (n,): the speaker of every frame."""

Openings = npt.NDArray[np.float32]
"""float32 (n,): opening of the inner lips, in distances of the inner eyes."""

_LEAST_RESTING: Final = 3


@dataclass(frozen=True)
class ShapeTrack:
    """The shapes of every frame of a cache."""

    shapes: MouthShapes
    openings: Openings
    """Above the speaker's rest."""


def measure_shapes(cache: Cache) -> ShapeTrack:
    """Describe every frame of ``cache`` in the project's shape space, counted from its speaker's rest."""
    space = shape_space()
    rigid, speech = _points(cache)
    turned = symmetrical(turned_front(speech, align(rigid, space.front)))
    opening = opening_of(turned)
    groups = np.concatenate([np.full(span.frames, span.clip.group) for span in cache.spans])
    flat = turned[:, :, :2].reshape(len(turned), -1)
    teeth = np.asarray(cache.teeth, np.float64) / TEETH_UNITS
    mouths = np.column_stack([flat, teeth, opening])
    zero = _resting(mouths, groups, np.asarray(cache.presence) > LEAST_PRESENCE)
    more = np.clip(teeth - zero[:, -3:-1], -MOST_TEETH, MOST_TEETH)
    components = (flat - zero[:, : flat.shape[1]]) @ space.basis.T
    return ShapeTrack(
        shapes=np.column_stack([components, more]).astype(np.float32),
        openings=(opening - zero[:, -1]).astype(np.float32),
    )


def _points(cache: Cache) -> tuple[Canonical, Canonical]:
    """Return the rigid and the speech points of every frame, in units in which a face is not squeezed."""
    mesh = np.asarray(cache.mesh[:, (*RIGID_POINTS, *SPEECH_POINTS)], np.float64)
    aspects = np.concatenate([np.full(span.frames, span.clip.aspect) for span in cache.spans])
    mesh[:, :, 0] *= aspects[:, None]
    return mesh[:, : len(RIGID_POINTS)], mesh[:, len(RIGID_POINTS) :]


def _resting(mouths: npt.NDArray[np.float64], groups: Groups, seen: Flags) -> npt.NDArray[np.float64]:
    """Return for every frame the resting mouth of its speaker.

    ``mouths`` end with their opening. A mouth rests as in :mod:`app.mouths.meeting`.
    """
    opening = mouths[:, -1]
    zero = np.zeros_like(mouths)
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        among = own[seen[own]] if seen[own].any() else own
        low, high = np.quantile(opening[among], [0.05, 0.95])
        resting = among[opening[among] <= low + REST_SHARE * (high - low)]
        if len(resting) < _LEAST_RESTING:
            resting = among[np.argsort(opening[among])[:_LEAST_RESTING]]
        zero[own] = np.median(mouths[resting], axis=0)
    return zero
