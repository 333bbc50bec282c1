"""Which frames lend resting mouths: to be drawn inside, or for a network to look at."""

from dataclasses import replace
from typing import Final

import numpy as np

from app.mouths.choice import Chooser, Costs, FrameNumbers, Lenders
from app.mouths.person import Person
from app.progress import Alive, nothing

REST_LIGHT: Final = 40.0
"""What light costs where resting mouths are lent: all are alike but for that. Under a lamp of changing colour
lips had another hue than the frame's own, because those of that light were seen to part the least."""

_BLOCK, _BESIDE = 250, 75
"""Frames of footage for which resting mouths are chosen together, and those on each side that have a say: by
then paths that begin apart have most often met, so that blocks which meet agree."""


class RestLenders:
    """Which frames lend resting mouths to those of one person's footage, worked out where they are asked for.

    It depends on nothing but the footage: whoever asks, and in whatever order, is told the same.
    """

    def __init__(self, person: Person) -> None:
        self._known = np.flatnonzero(person.study.takes >= 0).astype(np.int32)
        self._chooser = Chooser(replace(person, usable=person.usable & person.rest), Costs(light=REST_LIGHT))
        self._lenders = np.full(len(person), -1, np.int32)
        self._blocks: set[int] = set()

    def of(self, frames: FrameNumbers, alive: Alive = nothing) -> Lenders:
        """Return for each of ``frames`` one whose mouth rests, to be laid onto its head; -1 without.

        ``alive`` is called for each that is weighed, and may raise to stop.
        """
        shown = frames[np.isin(frames, self._known)]
        for block in np.unique(np.searchsorted(self._known, shown) // _BLOCK).tolist():
            if block not in self._blocks:
                self._choose(block, alive)
                self._blocks.add(block)
        lenders: Lenders = self._lenders[frames]
        return lenders

    def _choose(self, block: int, alive: Alive) -> None:
        start, stop = block * _BLOCK, min((block + 1) * _BLOCK, len(self._known))
        first = max(0, start - _BESIDE)
        shown = self._known[first : stop + _BESIDE]
        nowhere = np.zeros((len(shown), 8), np.float32)
        chosen = self._chooser.choose(nowhere, shown, speech=0.0, alive=alive)
        self._lenders[self._known[start:stop]] = chosen[start - first : stop - first]


def rest_lenders(person: Person, alive: Alive = nothing) -> Lenders:
    """Return for every frame of the footage what :class:`RestLenders` says of it."""
    return RestLenders(person).of(np.arange(len(person), dtype=np.int32), alive)
