"""How much of each mouth of a render is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from app.mouths.person import Person
from app.rendering.timeline import MouthWeights, Timeline


@dataclass(frozen=True)
class Weights:
    """Less than all where a mouth cannot be seen, or the clip's own is kept, and in the few frames beside."""

    person: Person
    timeline: Timeline

    def of(self, indices: Sequence[int]) -> MouthWeights:
        """Return how much of the mouth is changed at result frames ``indices``."""
        sources = [self.timeline.avatar_frame(index) for index in indices]
        weights: MouthWeights = self._seen[sources] * self.timeline.mouth_weights(indices)
        return weights

    @cached_property
    def _seen(self) -> MouthWeights:
        return self.person.weights(self.timeline.clip)
