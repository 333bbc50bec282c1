"""What puts the mouths into a render's frames: its two kinds stand in ``generated.py`` and ``chosen.py``."""

from collections.abc import Sequence
from typing import Protocol

from app.media.frames import I420Frame
from app.media.timing import Segment
from app.mouths.ear import SpeechShares
from app.mouths.types import Flags
from app.progress import Alive
from app.rendering.stages import StageSeconds
from app.rendering.weights import Weights


class MouthRun(Protocol):
    """Puts mouths into the frames of one run, batch by batch, in order. One thread at a time may call it."""

    def put(self, frames: list[I420Frame], indices: Sequence[int], sources: list[int]) -> None:
        """Put the mouths of result frames ``indices`` into ``frames``, the avatar's frames ``sources``."""


class Mouths(Protocol):
    """The mouths of one render."""

    @property
    def weights(self) -> Weights:
        """How much of each is changed."""

    @property
    def leaning(self) -> bool:
        """Whether those of heads that lean are changed as the head leans (:mod:`app.faces.leaning`)."""

    @property
    def batch_size(self) -> int:
        """Frames that are best made together."""

    def over(self, indices: Sequence[int], seconds: StageSeconds, alive: Alive) -> MouthRun:
        """Return what puts the mouths of result frames ``indices``.

        ``seconds`` is told the time it takes; ``alive`` is called meanwhile, and may raise to end it.
        """

    def kinds(self, segment: Segment) -> tuple[Flags, Flags]:
        """Tell for each frame of a segment whether its mouth is lent by the footage, and whether painted.

        What is told of a frame whose mouth is not changed means nothing.
        """

    def speech(self, segment: Segment) -> SpeechShares:
        """Tell how surely somebody speaks in each frame of a segment; 1 where no mouth follows what is heard.

        So it is where none is changed.
        """
