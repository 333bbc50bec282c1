"""The settings of the stage ``hidden``: a section of the recipe."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.errors import InvalidRequest
from training.recipe import RECIPE, read_recipe, section_of, with_entries

SECTION: Final = "hidden"
_LEFT_OUT: Final = "left_out"


@dataclass(frozen=True)
class HiddenSettings:
    """What is drawn over faces, how pictures are spoilt, how long is trained; ranges are (least, most)."""

    samples: int
    batch: int
    learning_rate: float
    """Falls to zero along half a cosine."""
    weight_decay: float
    overlap_weight: float
    """Weight of the Dice loss beside the cross entropy."""
    seed: int
    held_out_every: int
    """Every so many-th video is taken out of training, to choose on."""
    left_out: dict[str, list[int]]
    """First and last frame with something real before the face, by the video's name: taught as a face they
    would teach not to see it."""
    packed: float
    """Share of the samples that show people of the pack, where one is given."""
    packed_frames: int
    """Most faces of each of those people."""
    covered: float
    """Share of the samples with something before the face."""
    second_object: float
    """Share of those with two things."""
    objects: dict[str, float]
    """How often each kind is drawn."""
    fills: dict[str, float]
    """How often an object shows skin of other people, a part of a picture, or a plain colour."""
    own_skin: float
    """Share of the hands that have the skin of the face that they are before."""
    moving: float
    """Share of the objects that are blurred by their motion."""
    motion: tuple[float, float]
    """How far those move while a frame is taken, pixels."""
    beards: float
    """Share of the samples whose lower face has a beard, which covers nothing."""
    gray_beards: float
    """Share of those beards that are gray or white."""
    smilers: float
    """Share of the samples that show a wide mouth with parted lips, if the people have such frames."""
    smiles: float
    """Share of the samples whose mouth is made wider, with lips that are parted over teeth."""
    lipstick: float
    """Share of the samples with painted lips."""
    shaded: float
    """Share of the samples with a shadow over a part of the face, which hides nothing."""
    dim: float
    """Share of the samples in little light."""
    dimmest: float
    """How much of the light is left there, at least."""
    edge_blur: tuple[float, float]
    """Deviation of the blur of objects' edges, pixels."""
    shadow: float
    """How dark an object's shadow on the face is at most."""
    move: float
    turn: float
    zoom: float
    """Deviations with which faces are moved (pixels), turned (degrees) and enlarged (share)."""
    gamma: tuple[float, float]
    gain: tuple[float, float]
    tint: float
    """Deviation of the colours' gains."""
    pale: float
    """Share of the samples that are made paler."""
    haze: float
    """How much of a pale picture is white, and how much of its colour is gone, at most."""
    coloured: float
    """Share of the samples in coloured light."""
    hue: float
    """Most by which that light turns colours, degrees."""
    noise: float
    """Most of the deviation of noise, of 255."""
    blur: tuple[float, float]
    jpeg: tuple[float, float]
    spoilt: float
    """Share of the samples that are blurred, and share of those that go through JPEG of such a quality."""


def load_hidden_settings(path: Path) -> HiddenSettings:
    """Read the section ``hidden`` of a recipe; what it leaves out is as in the shipped one.

    Raises InvalidRequest if it cannot be read or has an entry that is unknown or of the wrong kind.
    """
    entries = dict(section_of(read_recipe(path), SECTION, path))
    shipped = _shipped()
    left_out = _spans(entries.pop(_LEFT_OUT, shipped.left_out), path)
    settings = replace(with_entries(shipped, entries, path), left_out=left_out)
    if settings.batch < 1 or settings.held_out_every < 2:
        raise InvalidRequest(
            f"In the recipe {path}, the section {SECTION!r} needs a batch of 1 or more, and a held_out_every "
            "of 2 or more."
        )
    return settings


@cache
def _shipped() -> HiddenSettings:
    entries: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in read_recipe(RECIPE)[SECTION].items()
    }
    return HiddenSettings(**entries)


def _spans(entries: Any, path: Path) -> dict[str, list[int]]:
    try:
        return {str(name): [int(first), int(last)] for name, (first, last) in entries.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidRequest(
            f"In the recipe {path}, {_LEFT_OUT} must name videos, and the first and last frame of each, "
            f"not {entries!r}."
        ) from error
