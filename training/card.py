"""The card of an exported model: what it is, what it was made of and by what, and whose data that was."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from app.mouths.painter import FACE_SIZE
from app.wav2lip.model_file import file_sha256
from training.checkpoints import Checkpoint
from training.pack import Pack, load_pack
from training.settings import load_settings

_HERE: Final = Path(__file__).parent


def paint_card(
    model: Path, listen: Path, pack: Path, *, recipe: Path, checkpoint: Checkpoint, scores: Path | None
) -> dict[str, Any]:
    """Return the card of the painter ``model`` that hears with ``listen``."""
    settings = load_settings(recipe, "face")
    return {
        "name": model.stem,
        "description": (
            "Hears with the file beside it, chooses the footage's own mouths, and paints where there is no "
            f"near one: flow, keep-mask and paint, decided at {FACE_SIZE}x{FACE_SIZE}."
        ),
        "licence": settings.paint.licence,
        "commercial_use": False,
        "source": _source(load_pack(pack)),
        "sha256": file_sha256(model),
        "face_size": FACE_SIZE,
        "reference": "nearest",
        "listen": listen.name,
        "listen_sha256": file_sha256(listen),
        "made": {
            "recipe": recipe.name,
            "recipe_sha256": file_sha256(recipe),
            "commit": commit(),
            "steps": int(checkpoint["step"]),
            "parents": list(checkpoint["parents"]),
        },
        "data": data_of(load_pack(pack)),
        "measured": json.loads(scores.read_text()) if scores else None,
    }


def parent_of(model: Path) -> dict[str, str]:
    """Return how a card names a file that weights were taken from."""
    return {"name": model.name, "sha256": file_sha256(model)}


def commit() -> str | None:
    """Return the commit of this code, ``-dirty`` where files differ from it; None outside of a repository."""
    command = ["git", "-C", str(_HERE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # fixed words
        return made.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def data_of(pack: Pack) -> dict[str, Any]:
    """Return clips, frames, people and licences of every set of a pack."""
    sets: dict[str, Any] = {}
    for clip in pack.clips:
        entry = sets.setdefault(clip.set, {"clips": 0, "frames": 0, "people": set(), "licences": set()})
        entry["clips"] += 1
        entry["frames"] += clip.frames
        entry["people"].add(clip.group)
        entry["licences"].add(clip.licence)
    return {
        name: {
            **entry,
            "people": len(entry["people"]),
            "licences": sorted(entry["licences"]),
        }
        for name, entry in sorted(sets.items())
    }


def _source(pack: Pack) -> str:
    sets = (f"{name} ({', '.join(about['licences'])})" for name, about in data_of(pack).items())
    return "trained by this project on " + "; ".join(sets)
