"""The tuned numbers of training: what each of them means. Their values stand in the recipe."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

from app.errors import InvalidRequest

Numbers = TypeVar("Numbers")


@dataclass(frozen=True)
class LossNumbers:
    """Weights and shapes of the losses of faces. Pixels are those of a face of 96."""

    mouth_centre: tuple[float, float]
    mouth_reach: tuple[float, float]
    """x and y, pixels: where speech shows, and over what distance its weight falls."""
    mouth_floor: float
    mouth_peak: float
    mouth_width: float
    """Weight far from the mouth, what is added in its middle, and how slowly that falls."""
    inner_weight: float
    """Further weight of pixels within the inner lips."""
    edges: float
    warp: float
    smoothness: float
    outline: float
    """Weights beside that of pixels, which is 1."""
    landmarks: float
    reading: float
    """Loss of one pixel by which the flow misses a landmark, and by which the reader finds one elsewhere."""
    lip_points: float
    inner_lip_points: float
    """Weights of the points of both lips and of the inner lips: they show how far a mouth opens."""
    likeness: float
    """Weight of the reader's features."""
    specks: float
    speck_near: int
    speck_tolerated: float
    speck_corner: int
    """Weight of light where the truth has none within so many pixels, the brightness that is tolerated, and
    pixels across of the inner mouth in which a speck may not be a tooth: a critic likes light at the corners
    of mouths."""
    texture: float
    texture_patch: int
    texture_step: int
    texture_least: float
    """Weight of detail, pixels of the patches in which it is compared, and brightness that counts as none."""
    keep: float
    keep_reach: float
    few_pixels: float
    """Weight of what is painted within a mouth that the reference has already, the deviations within which a
    reference is near enough to be kept, and pixels of an inner mouth that counts by half."""


@dataclass(frozen=True)
class CriticNumbers:
    """How the critic judges."""

    features: float
    """Weight of unlike features beside that of the verdict."""
    inside: float
    """Further weight of patches within the lips: few, and the ones that are painted, not moved."""


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
    loose_scale: float
    loose_shift: float
    tight_scale: float
    tight_shift: float
    """Jitter of a reference's size (share) and place (crop pixels), without and with alignment."""


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
class ShadeNumbers:
    """How the darkness of inner mouths is measured."""

    dark_share: float
    """The share of the inner mouth's pixels that are darker than what is measured: not teeth."""
    mean: float
    deviation: float
    """Of brightness over that of the skin around, over 1,900 mouths."""
    few_pixels: float
    """Of so many pixels half is believed: a mouth that is nearly shut has no inside."""


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


@dataclass(frozen=True)
class PaintNumbers:
    """What is decided when a model is exported, and its licence."""

    licence: str
    crisp: float
    """RMS of the Laplacian about a reference's mouth, of brightness 0..1, from which paint stays as it is."""
    softening: float
    """Share of a blur that paint gets for each factor e by which the reference is softer."""
    darkest: float
    lightest: float
    """Bounds of a shade, in deviations from the average mouth."""
    half_open: float
    """Opening, in deviations, at which half of a shade is told: then an inner mouth has the pixels of which
    half is believed."""
    ridge: float
    """Beside features of deviation 1. Of people held out the foreseen shade correlates with the true one by
    0.65, with 0.03 to 1 alike; the larger, the nearer to the mean is all that is foreseen."""
    shade_batches: int
    shade_batch: int
    shade_belief: float
    """Batches and samples from which shades are learned, and how much of an inside they must show."""


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
            values[field.name] = tuple(map(float, value)) if wanted == tuple[float, float] else wanted(value)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"In the recipe {where}, {field.name} must be a {wanted}, not {value!r}."
            ) from error
    return kind(**values)
