"""Held-out speakers, for evaluation."""

from collections.abc import Collection
from dataclasses import dataclass, field

from training.cache import Span


@dataclass(frozen=True)
class HeldOut:
    """Speakers that are never trained on; of a set with one speaker, every n-th clip."""

    groups: Collection[str] = ()
    every: dict[str, int] = field(default_factory=dict)
    """Set to n: its clips 0, n, 2n ... in the pack's order are held out."""

    def split(self, spans: tuple[Span, ...]) -> tuple[list[Span], list[Span]]:
        """Return the clips to train on and the clips to judge on."""
        kept: list[Span] = []
        held: list[Span] = []
        for index, span in enumerate(spans):
            every = self.every.get(span.clip.set)
            is_held = span.clip.group in self.groups or (every is not None and index % every == 0)
            (held if is_held else kept).append(span)
        return kept, held
