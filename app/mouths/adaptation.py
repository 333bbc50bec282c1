"""Speaker adaptation: the mouth shapes that a sound asks of one person, by how this person talks.

How wide somebody opens cannot be heard. So the mean and spread of what is heard while somebody speaks are
moved to those of the footage; a mouth at rest is not moved.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.mouths.ear import Heard
from app.mouths.person import Habits, Person
from app.mouths.space import COMPONENTS, OPENING, SHAPE_DIMS, MouthShapes
from app.mouths.types import Flags, Numbers

SPREAD: Final = 1.08
"""Share of the footage's deviation that the wanted opening gets, for bending keeps some nine tenths of it: on
ten halves of people in training what is rendered spreads by 1.01 of the truth (geometric mean; 0.95 with 1),
and follows it by 0.676 (0.667)."""

LEAST_GAIN, MOST_GAIN, UNSEEN_GAIN = 0.6, 1.8, 3.0
"""How far the heard deviation may be changed; the last holds for whom the footage does not show talking."""

ADAPTED: Final = (0, 1, 2, 6, 7, 8)
"""What is adapted in mean and spread: three components, the teeth, the opening; the rest is hardly heard."""

PRIOR_FRAMES: Final = 25
"""Weight, in frames, of the usual mean and deviation of what is heard, against those of the sound at hand."""

USUAL: Final = Habits(
    np.array([0.76, -0.25, -0.65, -0.12, 0.17, -0.19, 0.08, 0.22, 0.35]),
    np.array([0.40, 0.37, 0.34, 0.06, 0.07, 0.06, 0.03, 0.12, 0.22]),
)
"""Mean and deviation of what is heard of speech, over 16 voices in eight languages: shapes, the opening."""

UNSEEN_RANGE: Final = 0.16
UNSEEN: Final = Habits(
    np.array([0.77, -0.51, -0.43, 0, 0, 0, 0.60, 0.45, 0.085]),
    np.array([0.85, 0.81, 0.68, 0, 0, 0, 0.90, 0.60, 0.077]),
)
"""Range of the opening, in distances of the inner eyes, and habits of somebody whose footage does not show
how they talk: a quarter more than the medians over twelve people in training; set by eye."""

_OPENED: Final = OPENING / (OPENING @ OPENING)
"""float64 (6,): the components of an opening of 1."""


@dataclass(frozen=True)
class Adaptation:
    """What brings the heard to one person: ``(heard - middle) * gain + wanted``, times speech."""

    middle: Numbers
    gain: Numbers
    wanted: Numbers
    """(9,) each: eight shapes, the opening."""
    scale: Numbers
    """(9,): from the average person to this one, before that."""
    least: float
    """Least opening: 0, or how far the person's mouth closes beyond its rest, which is negative."""
    quiet: float
    """Opening while nobody speaks: 0 or less."""

    def __call__(self, heard: Heard, silent: Flags) -> MouthShapes:
        """Return the wanted shapes (n, 8), from the person's rest.

        ``silent`` (n,) are the frames whose mouths close no further than they rest; see :class:`Person`.
        """
        numbers = np.column_stack([heard.shapes, heard.opening]) * self.scale
        numbers = (numbers - self.middle) * self.gain + self.wanted
        shapes = numbers[:, :-1]
        opening = np.maximum(numbers[:, -1], np.where(silent, 0.0, self.least))
        lacking = opening - shapes[:, :COMPONENTS] @ OPENING
        shapes[:, :COMPONENTS] += lacking[:, None] * _OPENED
        shapes *= heard.speech[:, None]
        closed = (1 - heard.speech) * np.where(silent, 0.0, self.quiet)
        shapes[:, :COMPONENTS] += closed[:, None] * _OPENED
        return shapes.astype(np.float32)


def adapt(person: Person, heard: Heard, average_range: float) -> Adaptation:
    """Fit what is heard of a stretch of the sound, usually its beginning, to a person."""
    reach = person.range if person.talks else UNSEEN_RANGE
    scale = np.r_[np.full(8, np.clip(reach / average_range, 0.5, 2.0)), reach]
    middle, deviation = _while_speaking(heard, scale)
    gain, wanted = np.ones(9), middle.copy()
    own = person.habits if person.talks else UNSEEN
    adapted = list(ADAPTED)
    ratio = SPREAD * own.deviation / np.maximum(deviation, 1e-6)
    gain[adapted] = np.clip(ratio, LEAST_GAIN, MOST_GAIN if person.talks else UNSEEN_GAIN)[adapted]
    wanted[adapted] = own.mean[adapted]
    return Adaptation(middle, gain, wanted, scale, person.least, person.quiet)


def shut(ajar: Numbers) -> MouthShapes:
    """Return the shapes (n, 8) whose lips meet, of mouths whose lips are parted by ``ajar`` (n,) at rest."""
    shapes = np.zeros((len(ajar), SHAPE_DIMS), np.float32)
    shapes[:, :COMPONENTS] = -ajar[:, None] * _OPENED
    return shapes


def _while_speaking(heard: Heard, scale: Numbers) -> tuple[Numbers, Numbers]:
    """Return mean and deviation of what is heard while somebody speaks, drawn to the usual ones."""
    numbers = np.column_stack([heard.shapes, heard.opening])
    weight = np.asarray(heard.speech, np.float64)
    total = float(weight.sum())
    mean = (PRIOR_FRAMES * USUAL.mean + weight @ numbers) / (PRIOR_FRAMES + total)
    apart = np.square(numbers - mean)
    variance = (PRIOR_FRAMES * np.square(USUAL.deviation) + weight @ apart) / (PRIOR_FRAMES + total)
    return mean * scale, np.sqrt(variance) * scale
