"""How much of each mouth of a render is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.mouths.person import Person
from app.rendering.timeline import MouthWeights, Timeline


@dataclass(frozen=True)
class Weights:
    """Less than all where a mouth cannot be seen, or the clip's own is kept, and in the few frames beside."""

    person: Person
    timeline: Timeline

    def of(self, indices: Sequence[int]) -> MouthWeights:
        """Return how much of the mouth is changed at result frames ``indices``.

        None where it is changed for too short to be changed wholly, as between two kept ranges, or before a
        hand that comes: two mouths would be seen at once in all of it.
        """
        weights = self._each(indices)
        for place in np.flatnonzero((weights > 0) & (weights < 1)).tolist():
            if not any(self._wholly(indices[place], step) for step in (-1, 1)):
                weights[place] = 0
        return weights

    def _wholly(self, index: int, step: int) -> bool:
        """Tell whether the mouth, in steps from ``index`` on, is changed wholly before it is not at all."""
        while 0 <= index < self.timeline.frame_count:
            weight = self._each([index])[0]
            if weight in (0, 1):
                return bool(weight)
            index += step
        return False

    def _each(self, indices: Sequence[int]) -> MouthWeights:
        sources = [self.timeline.avatar_frame(index) for index in indices]
        weights: MouthWeights = self._seen[sources] * self.timeline.mouth_weights(indices)
        return weights

    @cached_property
    def _seen(self) -> MouthWeights:
        return self.person.weights(self.timeline.clip)
