"""The settings of the stage ``lips``: the section of that name in a recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.recipe import read_recipe, section_of, with_entries

SECTION: Final = "lips"


@dataclass(frozen=True)
class LipsSettings:
    """How the network is taught; ranges are (least, most)."""

    seed: int = 0
    samples: int = 256_000
    batch: int = 64
    learning_rate: float = 0.002
    """Falls to zero along half a cosine."""
    weight_decay: float = 0.001
    beta: float = 2.0
    """Error up to which it counts by the square, percent of the eyes' distance; beyond, as it is."""
    packed_frames: int = 150
    """Most faces of each of a pack's people."""
    frontal: float = 0.45
    """How near the nearer cheek is to the nose, beside the other one, at least: meshes of turned heads are
    less exact."""
    zoom: float = 0.08
    turn: float = 6.0
    move: float = 1.5
    """Deviations with which mouths are enlarged (share), turned (degrees) and moved (pixels)."""
    blurred: float = 0.4
    blur: tuple[float, float] = (0.3, 1.2)
    """Share of the samples that are blurred, and the deviation, pixels."""
    gamma: tuple[float, float] = (0.6, 1.6)
    gain: tuple[float, float] = (0.7, 1.3)
    tint: float = 0.08
    """Deviation of the colours' gains."""
    noise: float = 6.0
    """Most of the deviation of noise, of 255."""
    pale: float = 0.2
    """Share of the samples that lose colour."""


def load_lips_settings(path: Path) -> LipsSettings:
    """Read the section ``lips`` of a recipe.

    Raises InvalidRequest if the file cannot be read or has an entry that is unknown or of the wrong kind.
    """
    return with_entries(LipsSettings(), section_of(read_recipe(path), SECTION, path), path)
