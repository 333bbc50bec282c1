"""Mouth shapes of a pack: what ``app/mouths/space.py`` describes, for every frame of every speaker."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.mesh import LEAST_PRESENCE
from app.mouths.person import REST_SHARE, Flags
from app.mouths.points import RIGID_POINTS, SPEECH_POINTS
from app.mouths.space import (
    COMPONENTS,
    MOST_TEETH,
    TEETH_UNITS,
    Canonical,
    MouthShapes,
    Openings,
    align,
    opening_of,
    shape_space,
    symmetrical,
    turned_front,
)
from training.cache import Cache

Groups = npt.NDArray[np.str_]
"""str (n,): the speaker of every frame."""

Turns = npt.NDArray[np.float32]
"""float32 (n, 3, 3): how the head is turned in every frame, as in :class:`app.mouths.space.Pose`."""

_LEAST_RESTING: Final = 3


@dataclass(frozen=True)
class ShapeTrack:
    """The shapes of every frame of a cache."""

    shapes: MouthShapes
    openings: Openings
    """Above the speaker's rest."""
    rest: Flags
    """Frames whose mouth rests."""
    turns: Turns


def measure_shapes(cache: Cache) -> ShapeTrack:
    """Describe every frame of ``cache`` in the project's shape space, counted from its speaker's rest."""
    space = shape_space()
    rigid, speech = _points(cache)
    pose = align(rigid, space.front)
    turned = symmetrical(turned_front(speech, pose))
    opening = opening_of(turned)
    groups = np.concatenate([np.full(span.frames, span.clip.group) for span in cache.spans])
    flat = turned[:, :, :2].reshape(len(turned), -1)
    teeth = np.asarray(cache.teeth, np.float64) / TEETH_UNITS
    mouths = np.column_stack([flat, teeth, opening])
    zero, rest = _resting(mouths, groups, np.asarray(cache.presence) > LEAST_PRESENCE)
    more = np.clip(teeth - zero[:, -3:-1], -MOST_TEETH, MOST_TEETH)
    components = (flat - zero[:, : flat.shape[1]]) @ space.basis.T
    return ShapeTrack(
        shapes=np.column_stack([components, more]).astype(np.float32),
        openings=(opening - zero[:, -1]).astype(np.float32),
        rest=rest,
        turns=pose.turn.astype(np.float32),
    )


def opening_weights(track: ShapeTrack) -> npt.NDArray[np.float32]:
    """Return the weights (8,) by which shapes add up to the opening of the lips, in its deviations.

    Teeth have none: they show how wide a mouth is open as well, but shutting it is not to take them away.
    """
    wanted = track.openings / max(float(track.openings.std()), 1e-6)
    weights = np.zeros(track.shapes.shape[1], np.float32)
    weights[:COMPONENTS] = np.linalg.lstsq(track.shapes[:, :COMPONENTS], wanted, rcond=None)[0]
    return weights


def _points(cache: Cache) -> tuple[Canonical, Canonical]:
    """Return the rigid and the speech points of every frame, in units in which a face is not squeezed."""
    mesh = np.asarray(cache.mesh[:, (*RIGID_POINTS, *SPEECH_POINTS)], np.float64)
    aspects = np.concatenate([np.full(span.frames, span.clip.aspect) for span in cache.spans])
    mesh[:, :, 0] *= aspects[:, None]
    return mesh[:, : len(RIGID_POINTS)], mesh[:, len(RIGID_POINTS) :]


def _resting(
    mouths: npt.NDArray[np.float64], groups: Groups, seen: Flags
) -> tuple[npt.NDArray[np.float64], Flags]:
    """Return for every frame the resting mouth of its speaker, and whether it rests itself.

    ``mouths`` end with their opening. A mouth rests as in :mod:`app.mouths.person`.
    """
    opening = mouths[:, -1]
    zero, rest = np.zeros_like(mouths), np.zeros(len(mouths), np.bool_)
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        among = own[seen[own]] if seen[own].any() else own
        low, high = np.quantile(opening[among], [0.05, 0.95])
        resting = among[opening[among] <= low + REST_SHARE * (high - low)]
        if len(resting) < _LEAST_RESTING:
            resting = among[np.argsort(opening[among])[:_LEAST_RESTING]]
        rest[resting] = True
        zero[own] = np.median(mouths[resting], axis=0)
    return zero, rest
