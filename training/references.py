"""Which frame of a clip lends its mouth to a moment: near in shape, as in the service, at rest, or any."""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.space import COMPONENTS
from training.cache import Span
from training.settings import TrainSettings
from training.shapes import ShapeTrack

Indices = npt.NDArray[np.int64]
"""int64 (n,): positions in the cache's arrays."""

_LEAST_RESTING: Final = 2
"""Of a clip in which no mouth rests, the frames with the least opening."""


class References:
    """Draws the reference of every moment from its own clip."""

    def __init__(self, spans: list[Span], track: ShapeTrack, settings: TrainSettings) -> None:
        self._track, self._settings = track, settings
        own = [np.arange(span.start, span.start + span.frames) for span in spans]
        self._any = Pools(own)
        self._rest = Pools([_resting(track, frames) for frames in own])
        self._spans = spans
        weights = np.ones(track.shapes.shape[1], np.float32)
        weights[COMPONENTS:] = settings.near_teeth
        self._told = track.shapes * weights

    def draw(self, rng: np.random.Generator, frames: Indices, clips: Indices) -> Indices:
        """Return a reference for each of ``frames``, which are of ``clips``."""
        kind, settings = rng.random(len(frames)), self._settings
        near = kind < settings.near_references
        rest = kind < settings.near_references + settings.rest_references
        drawn = [pools.draw(rng, clips) for pools in (self._rest, self._any)]
        chosen = np.where(rest, drawn[0], drawn[1])
        for index in np.flatnonzero(near):
            chosen[index] = self._nearest(rng, int(frames[index]), self._spans[clips[index]])
        return np.asarray(chosen, np.int64)

    def _nearest(self, rng: np.random.Generator, frame: int, span: Span) -> int:
        """Return the frame of a clip whose shape is nearest to that of ``frame``, of those that may lend.

        May lend: a random part of the clip, as if it were shorter, without the moment's neighbours, and none
        whose head is turned too far. If none may, the one that is turned least.
        """
        settings = self._settings
        own = np.arange(span.start, span.start + span.frames)
        apart = own[np.abs(own - frame) >= settings.near_apart]
        kept = apart[rng.random(len(apart)) < settings.near_kept]
        candidates = kept if len(kept) else own
        turned = _angles(self._track.turns[candidates], self._track.turns[frame])
        within = turned <= settings.near_turn
        if not within.any():
            return int(candidates[turned.argmin()])
        missed = np.square(self._told[candidates[within]] - self._told[frame]).sum(axis=1)
        return int(candidates[within][missed.argmin()])


class Pools:
    """For every clip the frames that one kind of draw takes from; draws of many clips at once."""

    def __init__(self, frames: list[Indices]) -> None:
        self._frames: Indices = np.concatenate(frames).astype(np.int64)
        self._sizes = np.array([len(pool) for pool in frames])
        self._first = np.cumsum(self._sizes) - self._sizes

    def draw(self, rng: np.random.Generator, clips: Indices) -> Indices:
        """Draw a frame for each of ``clips``."""
        places = self._first[clips] + (rng.random(len(clips)) * self._sizes[clips]).astype(np.int64)
        return np.asarray(self._frames[places], np.int64)


def _resting(track: ShapeTrack, frames: Indices) -> Indices:
    resting = frames[track.rest[frames]]
    return resting if len(resting) else frames[np.argsort(track.openings[frames])[:_LEAST_RESTING]]


def _angles(turns: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return by how many degrees each of ``turns`` (n, 3, 3) differs from another."""
    traces = np.einsum("nij,ij->n", turns, other)
    angles: npt.NDArray[np.float64] = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    return angles
