"""The tuned numbers of training and their meaning. The recipe holds their values."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

from app.errors import InvalidRequest

Numbers = TypeVar("Numbers")


@dataclass(frozen=True)
class CriticNumbers:
    """How the critic judges."""

    features: float
    """Weight of unlike features beside that of the verdict."""
    inside: float
    """Further weight of patches within the lips, which are few."""


@dataclass(frozen=True)
class ViewNumbers:
    """Ranges of the random views of faces, drawn evenly from minus to plus."""

    scale: float
    stretch: float
    """Shares."""
    shift: float
    """Pixels of a pack's crop."""
    turn: float
    """Radians; half of the views are not turned."""
    jitter_scale: float
    jitter_shift: float
    """Of a reference against its target: of its size (share) and place (crop pixels)."""


@dataclass(frozen=True)
class LookNumbers:
    """Ranges of the colours and the quality of pictures, from minus to plus where not said otherwise."""

    hue: float
    """Radians."""
    saturation: float
    gamma: float
    """Of the logarithm."""
    channel_gain: float
    gain: float
    offset: float
    channel_offset: float
    """Shares, and brightness of 0..1; of single channels and of all."""
    blurred: float
    blurred_least: float
    blurred_most: float
    """Share of the samples that is blurred as a small video is, and that video's side over the face's."""
    noisy_from: float
    noisy: float
    noise: float
    """Where in a batch noise begins, how much of it gets some, and its deviation."""


@dataclass(frozen=True)
class ScheduleNumbers:
    """How the weights are moved."""

    warm_up: int
    """Steps."""
    least_rate: float
    """Share of the learning rate at the end."""
    clip: float
    weight_decay: float
    momentum: float
    momentum_of_squares: float


def numbers(kind: type[Numbers], entries: dict[str, Any], where: str) -> Numbers:
    """Return a section of the recipe as what it means; ``where`` names it in errors.

    Raises InvalidRequest if an entry is missing, unknown or of the wrong kind.
    """
    known = get_type_hints(kind)
    if wrong := sorted(known.keys() ^ entries.keys()):
        raise InvalidRequest(
            f"In the recipe {where}, {', '.join(wrong)} is missing or unknown; known: {', '.join(known)}."
        )
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value, wanted = entries[field.name], known[field.name]
        try:
            values[field.name] = wanted(value)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"In the recipe {where}, {field.name} must be a {wanted}, not {value!r}."
            ) from error
    return kind(**values)
