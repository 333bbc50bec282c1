"""How a video is rendered: each option, its default, its limits and its help. Needs no numpy."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from app.media.timing import MAX_FPS, MIN_FPS, exact_fps
from app.options import check

_RATE: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?|[0-9]{1,9}/[1-9][0-9]{0,8}")


def _read_rate(value: Any) -> Any:
    if value is None or value == "":
        return None
    # Matched before it is parsed: a Fraction of "1e999999999" would take all memory.
    if isinstance(value, str) and not _RATE.fullmatch(value):
        raise ValueError(_NO_RATE)
    rate = exact_fps(Fraction(value))
    if not MIN_FPS <= rate <= MAX_FPS:
        raise ValueError(_NO_RATE)
    return rate


_NO_RATE: Final = (
    f"a frame rate is a number from {MIN_FPS} to {MAX_FPS} such as 25 or 29.97, or a fraction "
    + "such as 30000/1001"
)

FrameRate = Annotated[
    Fraction | None,
    BeforeValidator(_read_rate),
    PlainSerializer(lambda rate: None if rate is None else str(rate)),
    WithJsonSchema({"type": "string", "pattern": f"^({_RATE.pattern})$"}),
]


@dataclass(frozen=True)
class RenderOptions:
    """How a video is rendered."""

    fps: Annotated[
        FrameRate,
        Field(
            description="Frames a second, 1 to 120: a number, or a fraction such as 30000/1001. "
            "Default: the avatar's own."
        ),
    ] = None
    quality: Annotated[
        Literal["draft", "standard", "high"], Field(description="How much work goes into the encoding.")
    ] = "standard"
    mouth_offset_ms: Annotated[
        float,
        Field(
            ge=-1000,
            le=1000,
            description="Above 0 the mouth moves later, below 0 earlier; milliseconds.",
        ),
    ] = 0.0
    start_frame: Annotated[
        int, Field(ge=0, le=10_000_000, description="The avatar's frame to begin with.")
    ] = 0
    loop: Annotated[
        Literal["pingpong", "restart"],
        Field(
            description="When the sound outlasts the avatar: `pingpong` plays it backward and forward, "
            "without a jump; `restart` begins again."
        ),
    ] = "pingpong"

    def __post_init__(self) -> None:
        check(self)
