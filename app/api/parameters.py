"""What the API accepts beside the file of an upload: each form field, its range and its default."""

import re
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.avatars.manifest import ID_PATTERN
from app.media.timing import MAX_FPS, MIN_FPS, exact_fps
from app.media.treatment import GREY, check_background

_NUMBERS: Final = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)(,-?([0-9]+(\.[0-9]*)?|\.[0-9]+)){3}$"
_RATE: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?|[0-9]{1,9}/[1-9][0-9]{0,8}")
Pad = Annotated[float, Field(gt=-0.5, le=1.0)]


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _rotation(value: Any) -> Any:
    if value is None or value == "auto":
        return None
    if str(value) not in ("0", "90", "180", "270"):
        raise ValueError("a video is turned by 'auto', 0, 90, 180 or 270 degrees clockwise")
    return int(value)


def _as_text(schema: dict[str, Any]) -> None:
    """Describe a list as what a form has: text."""
    schema["default"] = ",".join(f"{value:g}" for value in schema["default"])
    schema |= {"type": "string", "pattern": _NUMBERS}
    for key in ("prefixItems", "minItems", "maxItems"):
        schema.pop(key, None)


def _frame_rate(text: str) -> str:
    # Matched before it is parsed: a Fraction of "1e999999999" would take all memory.
    if not _RATE.fullmatch(text) or not MIN_FPS <= (rate := exact_fps(Fraction(text))) <= MAX_FPS:
        raise ValueError(
            f"a frame rate is a number from {MIN_FPS} to {MAX_FPS} such as 25 or 29.97, or a fraction "
            "such as 30000/1001"
        )
    return str(rate)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AvatarParameters(_Parameters):
    """How an avatar is made."""

    id: str | None = Field(
        None,
        pattern=f"^{ID_PATTERN.pattern}$",
        description="1 to 63 characters a-z, 0-9 and '-', not beginning with '-'. Default: a random one.",
    )
    face: str = Field(
        "largest",
        pattern="^(largest|left|right|[0-9])$",
        description="Which face of several: `largest`, `left`, `right`, or its place from the left, 0 to 9.",
    )
    pads: Annotated[tuple[Pad, Pad, Pad, Pad], BeforeValidator(_split)] = Field(
        (0.0, 0.05, 0.0, 0.0),
        description="Top, bottom, left, right, separated by commas: by which share of its size the face box "
        "is extended.",
        json_schema_extra=_as_text,
    )
    smoothing: float = Field(
        0.2, ge=0, le=1, description="Over how many seconds the face box is smoothed; 0: not at all."
    )
    rotate: Annotated[Literal[0, 90, 180, 270] | None, BeforeValidator(_rotation)] = Field(
        None,
        description="Degrees clockwise by which the video is turned: `auto` (so that the face is upright), "
        "0, 90, 180 or 270.",
        json_schema_extra={"default": "auto"},
    )
    background: Annotated[str, AfterValidator(check_background)] = Field(
        GREY,
        description="What shows through transparent pictures: a colour as `#rrggbb`, or `blur`, the picture "
        "itself, blurred.",
    )


class RenderParameters(_Parameters):
    """How a video is rendered."""

    fps: Annotated[str, AfterValidator(_frame_rate)] | None = Field(
        None,
        description="Frames a second, 1 to 120: a number, or a fraction such as 30000/1001. "
        "Default: the avatar's own.",
        json_schema_extra={"pattern": f"^({_RATE.pattern})$"},
    )
    quality: Literal["draft", "standard", "high"] = Field(
        "standard", description="How much work goes into the encoding."
    )
    mouth_offset_ms: float = Field(
        0.0, ge=-1000, le=1000, description="Above 0 the mouth moves later, below 0 earlier; milliseconds."
    )
    start_frame: int = Field(0, ge=0, le=10_000_000, description="The avatar's frame to begin with.")
    loop: Literal["pingpong", "restart"] = Field(
        "pingpong",
        description="When the sound outlasts the avatar: `pingpong` plays it backward and forward, without a "
        "jump; `restart` begins again.",
    )
