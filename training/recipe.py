"""The recipe: one YAML file. Top-level entries apply to all stages, a section's to one stage."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml

from app.errors import InvalidRequest
from training.split import HeldOut

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECIPE: Final = Path(__file__).parent / "recipes" / "mouthpiece.yaml"
"""The recipe of the model that ships."""

_HELD_OUT: Final = '{groups: ["anna", "ben"], every: {set: 10}}'

Settings = TypeVar("Settings", bound="DataclassInstance")


def read_recipe(path: Path) -> dict[str, Any]:
    """Read the entries of a recipe; raises InvalidRequest if it is not a mapping in YAML."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidRequest(f"The recipe {path} cannot be read ({error}): give a YAML file.") from error
    if not isinstance(entries, dict):
        raise InvalidRequest(f"The recipe {path} must be a mapping of settings, see {RECIPE.name}.")
    return entries


def section_of(entries: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Return a section of a recipe, empty if it is missing; raises InvalidRequest if it is no mapping."""
    section = entries.get(name) or {}
    if not isinstance(section, dict):
        raise InvalidRequest(
            f"In the recipe {path}, {name} must be a mapping of settings, see {RECIPE.name}."
        )
    return section


def with_entries(defaults: Settings, entries: dict[str, Any], path: Path) -> Settings:
    """Return settings with ``entries`` in place of defaults, each of its default's type.

    Raises InvalidRequest if one is unknown or of another kind.
    """
    known = {item.name: getattr(defaults, item.name) for item in fields(defaults)}
    for key in entries:
        if key not in known:
            raise InvalidRequest(
                f"The recipe {path} has an unknown setting {key!r}; known: {', '.join(known)}."
            )
    return replace(defaults, **{key: _like(known[key], key, value, path) for key, value in entries.items()})


def _like(default: Any, key: str, value: Any, path: Path) -> Any:
    if isinstance(value, type(default)) and not isinstance(default, dict):
        return value
    try:
        if isinstance(default, HeldOut):
            return _held_out(value)
        if isinstance(default, dict):
            return {str(name): float(share) for name, share in value.items()}
        return type(default)(value)
    except (AttributeError, TypeError, ValueError) as error:
        wanted = _HELD_OUT if isinstance(default, HeldOut) else repr(default)
        raise InvalidRequest(f"In the recipe {path}, {key} must be like {wanted}, not {value!r}.") from error


def _held_out(entries: dict[str, Any]) -> HeldOut:
    """Read who is held out; what was overlooked there would be trained on, unnoticed."""
    groups, every = entries.get("groups", ()), entries.get("every", {})
    if entries.keys() - {"groups", "every"} or not isinstance(groups, list | tuple):
        raise TypeError(entries)
    if not all(isinstance(group, str) for group in groups) or any(int(n) < 1 for n in every.values()):
        raise ValueError(entries)
    return HeldOut(tuple(groups), {str(name): int(n) for name, n in every.items()})
