"""How much of each mouth of a render is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from app.faces.types import runs_of
from app.mouths.person import Person
from app.rendering.timeline import MouthWeights, Timeline

_LOOKED_AT: Final = 64
"""Frames that are looked at together to see how a stretch goes on."""


@dataclass(frozen=True)
class Weights:
    """Less than all where a mouth cannot be seen, or the clip's own is kept, and in the few frames beside."""

    person: Person
    timeline: Timeline

    def of(self, indices: Sequence[int]) -> MouthWeights:
        """Return how much of the mouth is changed at result frames ``indices``, which follow each other.

        None where it is changed for too short to be changed wholly, as between two kept ranges, or before a
        hand that comes: two mouths would be seen at once in all of it.
        """
        weights = self._each(indices)
        for first, after in runs_of((weights > 0) & (weights < 1)):
            before = weights[first - 1] == 1 if first else self._wholly(indices[0], -1)
            behind = weights[after] == 1 if after < len(weights) else self._wholly(indices[-1], 1)
            if not (before or behind):
                weights[first:after] = 0
        return weights

    def _wholly(self, index: int, step: int) -> bool:
        """Tell whether the mouth, in steps from ``index`` on, is changed wholly before it is not at all."""
        end = self.timeline.frame_count if step > 0 else -1
        for start in range(index, end, step * _LOOKED_AT):
            stop = min(start + _LOOKED_AT, end) if step > 0 else max(start - _LOOKED_AT, end)
            weights = self._each(range(start, stop, step))
            decided = weights[(weights == 0) | (weights == 1)]
            if len(decided):
                return bool(decided[0])
        return False

    def _each(self, indices: Sequence[int]) -> MouthWeights:
        sources = [self.timeline.avatar_frame(index) for index in indices]
        weights: MouthWeights = self._seen[sources] * self.timeline.mouth_weights(indices)
        return weights

    @cached_property
    def _seen(self) -> MouthWeights:
        return self.person.weights(self.timeline.clip)
