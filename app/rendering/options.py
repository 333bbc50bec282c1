"""The options of a render: default, limits and help of each. Needs no numpy."""

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from app.media.formats import Format
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
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": int(MIN_FPS), "maximum": int(MAX_FPS)},
                {"type": "string", "pattern": f"^({_RATE.pattern})$"},
            ]
        }
    ),
]


_SECONDS: Final = r"[0-9]{1,6}(?:\.[0-9]{1,9})?"
_RANGE: Final = rf" *({_SECONDS}) *- *({_SECONDS}) *"
MOST_RANGES: Final = 100

Ranges = list[tuple[float, float]]
"""Start and end of each of some stretches of time, seconds, in order."""


def read_ranges(text: str) -> Ranges:
    """Return the ranges of a text such as ``12.5-18,40-41.2``; raise ValueError for anything else."""
    parts = [re.fullmatch(_RANGE, part) for part in text.split(",")] if text else []
    if len(parts) > MOST_RANGES:
        raise ValueError(f"there may be up to {MOST_RANGES} ranges, not {len(parts)}")
    ranges = sorted((float(part[1]), float(part[2])) for part in parts if part)
    if len(ranges) < len(parts):
        raise ValueError(
            "ranges are seconds such as 12.5-18,40-41.2: start, a hyphen, end, and commas between"
        )
    for start, end in ranges:
        if end <= start:
            raise ValueError(f"the range {start:g}-{end:g} ends before it starts")
    for (start, end), (other, its_end) in pairwise(ranges):
        if other < end:
            raise ValueError(f"the ranges {start:g}-{end:g} and {other:g}-{its_end:g} overlap; merge them")
    return ranges


def _check_ranges(text: str) -> str:
    read_ranges(text)
    return text


@dataclass(frozen=True)
class RenderOptions:
    """The options of a render."""

    fps: Annotated[
        FrameRate,
        Field(
            description="Frame rate, 1 to 120: a number, or a fraction such as 30000/1001. Default: the "
            "avatar's own."
        ),
    ] = None
    quality: Annotated[
        Literal["draft", "standard", "high"], Field(description="Encoding quality, at the cost of speed.")
    ] = "standard"
    mouth_offset_ms: Annotated[
        float,
        Field(
            ge=-1000,
            le=1000,
            description="Milliseconds by which the mouth moves later, or earlier if below 0.",
        ),
    ] = 0.0
    keep_sound: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="How loud the video's own sound stays under the new one, 0 to 1; less while somebody "
            "speaks.",
        ),
    ] = 0.0
    strength: Annotated[
        float,
        Field(
            ge=0,
            le=1.5,
            description="How much the mouth moves: 0 not at all, 1 as heard. Models with Wav2Lip's interface "
            "ignore it unless `detail` is `footage`.",
        ),
    ] = 1.0
    detail: Annotated[
        Literal["model", "footage"],
        Field(
            description="Whose pixels a Wav2Lip model's mouths show: the `model`'s own or, as an experiment, "
            "the `footage`'s, chosen by the shape of what the model makes. The default model always shows "
            "the footage's.",
        ),
    ] = "model"
    length: Annotated[
        Literal["audio", "video", "shortest", "longest"],
        Field(
            description="Length of the result: that of the `audio`, of the `video` (the whole clip), or the "
            "`shortest` or `longest` of the two. A photo lasts as long as the audio."
        ),
    ] = "audio"
    loop: Annotated[
        Literal["pingpong", "restart", "hold", "stretch"],
        Field(
            description="If the audio outlasts the clip: `pingpong` plays the clip backward and forward, "
            "without a jump; `restart` starts it again; `hold` freezes the last frame. `stretch` slows "
            "the clip down or speeds it up to the length of the result, by repeating or dropping frames."
        ),
    ] = "pingpong"
    start: Annotated[
        float, Field(ge=0, le=1e6, description="Start of the part of the clip to use, seconds.")
    ] = 0.0
    end: Annotated[
        float | None,
        Field(gt=0, le=1e6, description="End of that part, seconds. Default: the clip's end."),
    ] = None
    start_frame: Annotated[
        int,
        Field(
            ge=0,
            le=10_000_000,
            description="First frame, counted from `start`. One beyond the clip's end counts on through its "
            "`loop`.",
        ),
    ] = 0
    keep: Annotated[
        str,
        AfterValidator(_check_ranges),
        Field(
            description="Ranges of the result in which the mouth stays the clip's own, seconds: "
            "`12.5-18,40-41.2`. So does what lies between two of them, up to 0.22 s, or between one and the "
            "result's start or end, up to 0.11 s.",
            json_schema_extra={"pattern": f"^({_RANGE}(,{_RANGE})*)?$"},
        ),
    ] = ""
    rest: Annotated[
        Literal["still", "own"],
        Field(
            description="After the last word, the mouth rests (`still`) or stays the clip's `own`.",
        ),
    ] = "still"

    format: Annotated[
        Format,
        Field(
            description="`mp4` (H.264, AAC), `webm` (VP9, Opus) or `mov` (ProRes 4444, PCM). Transparent "
            "footage stays transparent in the latter two. Only `mp4` is streamed."
        ),
    ] = "mp4"
    hdr: Annotated[
        Literal["map", "keep"],
        Field(
            description="Footage of a high dynamic range (PQ, HLG) is mapped to BT.709 (`map`), or stays as "
            "it is in an MP4 of 10-bit HEVC (`keep`)."
        ),
    ] = "map"
    crop: Annotated[
        Literal["none", "face"],
        Field(
            description="`face`: only a square around the face, the same for all frames; `none`: the whole "
            "picture."
        ),
    ] = "none"
    height: Annotated[
        int | None,
        Field(
            ge=16,
            le=8640,
            multiple_of=2,
            description="Height of the result in pixels, an even number, less than it would be. Default: "
            "that of the footage, or of the square around the face.",
        ),
    ] = None

    @staticmethod
    def check_together(form: Any) -> None:
        """Raise ValueError for options that contradict each other."""
        if form.hdr == "keep" and form.format != "mp4":
            raise ValueError("Only MP4 can keep HDR: omit 'hdr' or 'format'")
        if form.end is not None and form.end <= form.start:
            raise ValueError(f"The clip's end ({form.end:g} s) must lie after its start ({form.start:g} s)")

    def __post_init__(self) -> None:
        check(self)
