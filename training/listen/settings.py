"""The settings of the stage ``listen``: the section of that name in a recipe."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from training.recipe import read_recipe, section_of, with_entries
from training.split import HeldOut

SECTION: Final = "listen"


@dataclass(frozen=True)
class ListenSettings:
    """How the ear is taught; the recipe says of each number what it is."""

    seed: int = 0
    held_out: HeldOut = field(default_factory=HeldOut)
    licence: str = "unknown"
    set_weights: dict[str, float] = field(default_factory=dict)
    layers: tuple[int, ...] = (2, 4)
    past: int = 50
    piece: int = 100
    ahead: int = 20
    heads: int = 8
    folds: int = 3
    fold_heads: int = 2
    copies: int = 3
    samples: int = 76_800
    clips: int = 16
    per_clip: int = 16
    stretch: int = 64
    silent_share: float = 0.1
    silent_sounds: int = 240
    recorded_parts: int = 8
    learning_rate: float = 0.0015
    weight_decay: float = 0.02
    ema: float = 0.99
    narrow: int = 64
    width: int = 128
    drop_input: float = 0.1
    drop: float = 0.4
    correlation_weight: float = 0.3
    distance_weight: float = 0.3
    shape_weight: float = 0.3
    shape_correlation_weight: float = 0.05
    speech_weight: float = 0.05
    speech_from: float = 0.0
    speech_to: float = 1.0
    least_range: float = 0.06
    least_lag_frames: int = 60
    lag_penalty: float = 0.02
    least_correlation: float = 0.4


def load_listen_settings(path: Path) -> ListenSettings:
    """Read the section ``listen`` of a recipe, and what its top says of the seed and who is held out.

    Raises InvalidRequest if the file cannot be read or has an entry that is unknown or of the wrong kind.
    """
    entries = read_recipe(path)
    common = {key: entries[key] for key in ("seed", "held_out") if key in entries}
    return with_entries(ListenSettings(), common | section_of(entries, SECTION, path), path)
