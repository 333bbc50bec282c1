"""The model card: a JSON file beside the weights, with the same name."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from app.errors import InvalidModel
from app.media.digests import known_sha256

Reference = Literal["frame", "closed", "nearest"]

OFFICIAL_MOUTH_OFFSET_MS: Final = 40.0
"""Official checkpoints were trained on windows that start one 25-fps frame before the frame itself."""


@dataclass(frozen=True)
class ModelCard:
    """Name, licence and conventions of a model, as its maker states them."""

    name: str
    licence: str = "unknown"
    commercial_use: bool = False
    source: str | None = None
    sha256: str | None = None
    """SHA-256 of the model file, hex; the file is checked against it."""
    mouth_offset_ms: float = OFFICIAL_MOUTH_OFFSET_MS
    """How much earlier than the frame's own time its mel window starts, milliseconds."""
    face_size: int | None = None
    """Side of the faces in pixels, for models whose file does not say it."""
    reference: Reference = "frame"
    """Which reference face the model wants: the very frame, a frame of the avatar with a closed mouth, or the
    frame whose mouth is nearest to the one that is heard. The last has another interface than Wav2Lip's, see
    :mod:`app.mouths.ear`."""


_WANTED: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "name": ((str,), "a string"),
    "licence": ((str,), "a string"),
    "commercial_use": ((bool,), "true or false"),
    "source": ((str, type(None)), "a string"),
    "sha256": ((str, type(None)), "a string of 64 hexadecimal digits"),
    "mouth_offset_ms": ((int, float), "a number of milliseconds from -1000 to 1000"),
    "face_size": ((int, type(None)), "a whole number of pixels from 16 to 1024"),
    "reference": ((str,), '"frame", "closed" or "nearest"'),
}


def load_card(model_path: Path) -> ModelCard:
    """Read the card of a model, ``<name>.json`` beside it; without one, the defaults.

    Raises InvalidModel if the card cannot be read, or is not that of this file.
    """
    path = model_path.with_suffix(".json")
    if not path.is_file():
        return ModelCard(name=model_path.stem)
    card = _parse(path, model_path.stem)
    _check_digest(model_path, card.sha256, path)
    return card


def runs_on_cpu(model_path: Path) -> bool:
    """Whether a model runs on the CPU on every device, as one that listens does: as its card says, unchecked.

    False where the card cannot be read: whoever loads the model says why.
    """
    try:
        card = json.loads(model_path.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and card.get("reference") == "nearest"


def _check_digest(file: Path, wanted: str | None, card: Path) -> None:
    if wanted is not None and wanted.lower() != (found := known_sha256(file)):
        raise InvalidModel(
            f"{file} is not the file that the card {card.name} describes (sha256 expected {wanted}, found "
            f"{found}): restore the file, or correct the card."
        )


def _parse(path: Path, default_name: str) -> ModelCard:
    try:
        entries = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidModel(
            f"The model card {path} is not valid JSON ({error}): correct or remove it."
        ) from error
    if not isinstance(entries, dict):
        raise InvalidModel(f"The model card {path} must be a JSON object: correct or remove it.")
    known: dict[str, Any] = {
        field.name: entries[field.name] for field in fields(ModelCard) if field.name in entries
    }
    for key, value in known.items():
        if not _is_valid(key, value):
            raise InvalidModel(
                f"In the model card {path}, {key} must be {_WANTED[key][1]}, not {json.dumps(value)}."
            )
    if "mouth_offset_ms" in known:
        known["mouth_offset_ms"] = float(known["mouth_offset_ms"])
    return ModelCard(**{"name": default_name, **known})


def _is_valid(key: str, value: object) -> bool:
    types, _ = _WANTED[key]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return False
    match key, value:
        case "mouth_offset_ms", int() | float():
            return -1000 <= value <= 1000
        case "face_size", int():
            return 16 <= value <= 1024
        case "reference", str():
            return value in get_args(Reference)
        case "sha256", str():
            return len(value) == 64 and set(value.lower()) <= set("0123456789abcdef")
        case "name", str():
            return bool(value.strip())
    return True
