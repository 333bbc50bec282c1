"""The manifest of an avatar: its description, as JSON on the volume. Needs no numpy."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self, get_args

from pydantic import TypeAdapter

from app.errors import InvalidRequest
from app.media.color import ColorMatrix, ColorRange
from app.media.treatment import PLAIN, Treatment
from app.notices import Notice

SCHEMA_VERSION: Final = 1
_WARNINGS: Final = TypeAdapter(list[Notice])
ID_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_avatar_id(avatar_id: str) -> str:
    """Return ``avatar_id`` if it is one; raise :class:`InvalidRequest` if not."""
    if not ID_PATTERN.fullmatch(avatar_id):
        raise InvalidRequest(
            "An avatar id has 1 to 63 characters a-z, 0-9 and '-', and does not begin with '-', "
            f"such as 'anna-2'; {avatar_id[:80]!r} is not one."
        )
    return avatar_id


@dataclass(frozen=True)
class Source:
    """The video that was uploaded: its hash, and the name that the caller's file had."""

    sha256: str
    filename: str


@dataclass(frozen=True)
class ColorTags:
    """Colour of the frames: how they are understood, and the codes (ITU-T H.273) that the source gave."""

    matrix: ColorMatrix
    range: ColorRange
    primaries: int
    transfer: int
    matrix_code: int


@dataclass(frozen=True)
class FaceOptions:
    """How the face was chosen and boxed: the caller's parameters, with defaults filled in."""

    choice: str
    pads: tuple[float, float, float, float]
    smoothing: float
    detector: str


@dataclass(frozen=True)
class Manifest:
    """What ``avatar.json`` says. Frames are numbered from 0; every array's first axis is that number."""

    id: str
    width: int
    height: int
    fps: Fraction
    sample_aspect_ratio: Fraction
    frame_count: int
    face_frames: int
    """How many of the frames have a face; the others are passed through as they are."""
    face_size: int
    """Side of the face crops, pixels: the input size of the model for which they were cut."""
    reference: str
    """Which face that model is shown as reference: the ``frame``'s own, or one with a ``closed`` mouth."""
    color: ColorTags
    face: FaceOptions
    source: Source
    created_at: datetime
    checksums: dict[str, str]
    """sha256 of each file that cannot be rebuilt from the others, by name."""
    treatment: Treatment = PLAIN
    """What was done to the pictures beside decoding."""
    transparent: bool = False
    """Whether parts of the pictures are transparent in the source."""
    hdr: ColorTags | None = None
    """Colour of the source if it has a high dynamic range."""
    warnings: list[Notice] = field(default_factory=list)
    """What the maker should know."""
    implicit: bool = False
    """Whether nobody asked for it: it was made of the video that a sound came with, and goes when unused."""
    job: str | None = None
    """The job that made it, if one did: an attempt knows by it what an earlier one has finished."""
    schema_version: int = SCHEMA_VERSION

    @property
    def duration(self) -> float:
        """Length of the avatar's video, seconds."""
        return float(self.frame_count / self.fps)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.width * self.height * 3 // 2

    @property
    def frames_key(self) -> str:
        """What the frames are decoded from, and how: the same for avatars of one video, treated alike."""
        if self.treatment == PLAIN:
            return self.source.sha256
        treated = json.dumps(self.treatment.as_dict(), sort_keys=True)
        return f"{self.source.sha256}-{hashlib.sha256(treated.encode()).hexdigest()[:16]}"

    def to_json(self) -> str:
        """Return the manifest as JSON; fractions as ``"30000/1001"``, times as RFC 3339."""
        plain = asdict(self) | {
            "fps": str(self.fps),
            "sample_aspect_ratio": str(self.sample_aspect_ratio),
            "created_at": self.created_at.isoformat(),
            "treatment": self.treatment.as_dict(),
        }
        return json.dumps(plain, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote. Raises ValueError, KeyError or TypeError if it is not."""
        try:
            manifest = cls._of(json.loads(text))
        except (ArithmeticError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        _check_sane(manifest)
        return manifest

    @classmethod
    def _of(cls, plain: dict[str, Any]) -> Self:
        if plain["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {plain['schema_version']}, not {SCHEMA_VERSION}")
        return cls(
            **plain
            | {
                "fps": Fraction(plain["fps"]),
                "sample_aspect_ratio": Fraction(plain["sample_aspect_ratio"]),
                "color": ColorTags(**plain["color"]),
                "face": FaceOptions(**plain["face"] | {"pads": tuple(plain["face"]["pads"])}),
                "source": Source(**plain["source"]),
                "hdr": ColorTags(**plain["hdr"]) if plain.get("hdr") else None,
                "treatment": Treatment(**plain.get("treatment", {})),
                "created_at": datetime.fromisoformat(plain["created_at"]),
            }
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the manifest at ``path``."""
        return cls.from_json(path.read_text(encoding="utf-8"))


def _check_sane(manifest: Manifest) -> None:
    """Raise ValueError or TypeError for values with which nothing could be done."""
    counts = (manifest.width, manifest.height, manifest.frame_count, manifest.face_size)
    texts = [manifest.id, manifest.reference, manifest.source.sha256, manifest.source.filename]
    if not all(type(count) is int and 0 < count < 1 << 31 for count in counts):
        raise ValueError("sizes and counts must be whole numbers above 0")
    if manifest.width % 2 or manifest.height % 2:
        raise ValueError("width and height must be even")
    if type(manifest.face_frames) is not int or not 0 <= manifest.face_frames <= manifest.frame_count:
        raise ValueError("there cannot be more faces than frames")
    if not all(isinstance(flag, bool) for flag in (manifest.implicit, manifest.transparent)):
        raise TypeError("flags must be true or false")
    texts += [
        text
        for told in _WARNINGS.validate_python(manifest.warnings)
        for text in (told["code"], told["detail"])
    ]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names must be texts")
    "".join(texts).encode()  # raises for half a character, which nobody could be told
    if not isinstance(manifest.checksums, dict):
        raise TypeError("there must be a checksum for each file")
    for color in filter(None, (manifest.color, manifest.hdr)):
        _check_color(color)
    if not 0 < manifest.fps < 1 << 16 or not 0 < manifest.sample_aspect_ratio < 1 << 16:
        raise ValueError("rates and ratios must be above 0")
    if manifest.created_at.tzinfo is None:
        raise ValueError("the time of creation must have a zone")


def _check_color(color: ColorTags) -> None:
    if color.matrix not in get_args(ColorMatrix) or color.range not in get_args(ColorRange):
        raise ValueError(f"unknown colours: matrix {color.matrix!r}, range {color.range!r}")
    if not all(type(code) is int for code in (color.primaries, color.transfer, color.matrix_code)):
        raise TypeError("codes of colours must be whole numbers")
