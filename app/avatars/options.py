"""The options of an avatar: default, limits and help of each. Needs no numpy."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from app.media.treatment import BACKGROUND, GREY
from app.options import check

_NUMBERS: Final = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)(,-?([0-9]+(\.[0-9]*)?|\.[0-9]+)){3}$"

_FACE: Final = "largest|left|right|[0-9]"

_TURNS: Final = (0, 90, 180, 270)

Pad = Annotated[float, Field(gt=-0.5, le=1.0)]


def _check_face(value: str) -> str:
    if not re.fullmatch(_FACE, value):
        raise ValueError("the face is 'largest', 'left', 'right', or its position from the left, '0' to '9'")
    return value


def _check_turn(degrees: int | None) -> int | None:
    if degrees is not None and degrees not in _TURNS:
        raise ValueError(f"a video can be rotated by 0, 90, 180 or 270 degrees, not by {degrees}")
    return degrees


def _automatic(value: Any) -> Any:
    return None if value == "auto" else value


def _check_background(value: str) -> str:
    if not BACKGROUND.fullmatch(value):
        raise ValueError(
            "the background is a colour such as '#808080', 'blur', or a picture sent as a file "
            "(--background-picture in a shell)"
        )
    return value


def _split(value: Any) -> Any:
    numbers = [each.strip() for each in value.split(",")] if isinstance(value, str) else value
    if isinstance(numbers, list | tuple) and len(numbers) != 4:
        raise ValueError("send four numbers, top, bottom, left, right, such as 0,0.05,0,0")
    return numbers


def _as_text(schema: dict[str, Any]) -> None:
    """Describe a list as what a form has: text."""
    schema["default"] = ",".join(f"{value:g}" for value in schema["default"])
    schema |= {"type": "string", "pattern": _NUMBERS}
    for key in ("prefixItems", "minItems", "maxItems"):
        schema.pop(key, None)


def _as_word(schema: dict[str, Any]) -> None:
    """Describe the turn as what a form has: one of some words."""
    schema |= {"type": "string", "enum": ["auto", *map(str, _TURNS)], "default": "auto"}
    schema.pop("anyOf", None)


@dataclass(frozen=True)
class AvatarOptions:
    """The options of an avatar."""

    face: Annotated[
        str,
        AfterValidator(_check_face),
        Field(
            json_schema_extra={"pattern": f"^({_FACE})$"},
            description="Which of several faces: `largest`, `left`, `right`, or its position from the left, "
            "0 to 9.",
        ),
    ] = "largest"
    pads: Annotated[
        tuple[Pad, Pad, Pad, Pad],
        BeforeValidator(_split),
        Field(
            description="Top, bottom, left, right, separated by commas: extend the face box by these "
            "fractions of its size.",
            json_schema_extra=_as_text,
        ),
    ] = (0.0, 0.05, 0.0, 0.0)
    smoothing: Annotated[
        float,
        Field(ge=0, le=1, description="Seconds over which the face box is smoothed; 0: no smoothing."),
    ] = 0.2

    rotate: Annotated[
        int | None,
        BeforeValidator(_automatic),
        AfterValidator(_check_turn),
        Field(
            description="Rotation of the video in degrees clockwise: 0, 90, 180 or 270. Default: `auto`, "
            "to make the face upright.",
            json_schema_extra=_as_word,
        ),
    ] = None
    background: Annotated[
        str,
        AfterValidator(_check_background),
        Field(
            description="Background of transparent footage: a colour such as `#808080`, or `blur` (the "
            "footage itself, blurred).",
            json_schema_extra={"pattern": f"^({BACKGROUND.pattern})$"},
        ),
    ] = GREY

    def __post_init__(self) -> None:
        check(self)


IMPLICIT: Final = "implicit-"
"""Prefix of the ids of implicit avatars."""


def implicit_id(video_sha256: str, options: AvatarOptions, backdrop_sha256: str | None = None) -> str:
    """Return the id of the avatar that is made of a video in this way when it comes with a sound."""
    more = [backdrop_sha256] if backdrop_sha256 else []
    made_of = json.dumps([video_sha256, asdict(options), *more], sort_keys=True)
    return IMPLICIT + hashlib.sha256(made_of.encode()).hexdigest()[:32]
