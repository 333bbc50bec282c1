"""The model card of an exported ear: identity, lineage, and the data with its rights."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from app.media.digests import known_sha256
from app.media.files import replacing
from training.listen.settings import ListenSettings
from training.listen.talks import Talk

Data = dict[str, dict[str, Any]]
"""For each data set that the model was trained on: its size and its licences."""

_HERE: Final = Path(__file__).parent
_QUIET: Final = "quiet"


def write_card(model: Path, encoder: Path, *, recipe: Path, settings: ListenSettings, data: Data) -> None:
    """Write the card of the ear ``model``, whose first layers are those of ``encoder``, beside it."""
    card = {
        "name": model.stem,
        "description": (
            f"Hears mouth shapes in speech: Whisper tiny.en's first {max(settings.layers)} layers and heads "
            "on them. Mouths are chosen from the footage and bent; where it shows none open, their inside is "
            "drawn."
        ),
        "licence": settings.licence,
        "commercial_use": False,
        "source": _source(data),
        "sha256": known_sha256(model),
        "reference": "nearest",
        "made": {
            "recipe": recipe.name,
            "recipe_sha256": known_sha256(recipe),
            "commit": commit(),
            "parents": [{"name": encoder.name, "sha256": known_sha256(encoder)}],
        },
        "data": data,
    }
    with replacing(model.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def commit() -> str | None:
    """Return the commit of this code, ``-dirty`` where files differ from it; None outside a repository."""
    command = ["git", "-C", str(_HERE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # fixed words
        return made.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def data_of(talks: Iterable[Talk], quiet: int, quiet_licence: str) -> Data:
    """Return the data section of a card: clips of talkers by set, and recordings without speech."""
    sets: dict[str, list[Talk]] = {}
    for talk in talks:
        sets.setdefault(talk.set, []).append(talk)
    data: Data = {
        name: {
            "clips": len(own),
            "frames": sum(len(talk.times) for talk in own),
            "people": len({talk.person for talk in own}),
            "licences": sorted({talk.licence for talk in own}),
        }
        for name, own in sorted(sets.items())
    }
    return {**data, _QUIET: {"recordings": quiet, "licences": [quiet_licence]}} if quiet else data


def _source(data: Data) -> str:
    sets = (f"{name} ({', '.join(about['licences'])})" for name, about in data.items() if name != _QUIET)
    return "heads trained by this project, on Whisper tiny.en's encoder (OpenAI, MIT), on " + "; ".join(sets)
