"""The settings of the stage ``listen``: the section of that name in a recipe."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import yaml

from app.errors import InvalidRequest
from training.split import HeldOut

SECTION: Final = "listen"


@dataclass(frozen=True)
class ListenSettings:
    """How the ear is taught; the recipe says of each number what it is."""

    seed: int = 0
    held_out: HeldOut = field(default_factory=HeldOut)
    set_weights: dict[str, float] = field(default_factory=dict)
    layers: int = 2
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
    least_range: float = 0.06
    least_lag_frames: int = 60
    lag_penalty: float = 0.02
    least_correlation: float = 0.4


def load_listen_settings(path: Path) -> ListenSettings:
    """Read the section ``listen`` of a recipe, and what its top says of the seed and who is held out.

    Raises InvalidRequest if the file cannot be read or has an entry that is unknown or of the wrong kind.
    """
    try:
        entries = yaml.safe_load(path.read_text())
        common = {key: entries[key] for key in ("seed", "held_out") if key in entries}
        return _settings({**common, **(entries.get(SECTION) or {})}, path)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InvalidRequest(f"The recipe {path} cannot be read ({error}): give a YAML file.") from error


def _settings(entries: dict[str, Any], path: Path) -> ListenSettings:
    known = {item.name: getattr(ListenSettings(), item.name) for item in fields(ListenSettings)}
    unknown = sorted(set(entries) - set(known))
    if unknown:
        raise InvalidRequest(f"The recipe {path} has unknown settings of {SECTION}: {', '.join(unknown)}.")
    return replace(ListenSettings(), **{key: _like(known[key], value) for key, value in entries.items()})


def _like(default: Any, value: Any) -> Any:
    if isinstance(default, HeldOut):
        return HeldOut(tuple(value.get("groups", ())), dict(value.get("every", {})))
    if isinstance(default, dict):
        return {str(name): float(share) for name, share in value.items()}
    return type(default)(value)
