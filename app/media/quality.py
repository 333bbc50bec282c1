"""The encoder's settings by the name of a quality."""

from dataclasses import dataclass
from typing import Final, Literal

Quality = Literal["draft", "standard", "high"]


@dataclass(frozen=True)
class EncoderSettings:
    """How x264 works: ``preset`` and ``crf`` as in its manual, ``threads`` (0: chosen from the cores)."""

    preset: str
    crf: float
    threads: int = 0


_PRESETS: Final[dict[Quality, tuple[str, float]]] = {
    "draft": ("ultrafast", 23),
    "standard": ("superfast", 22),
    "high": ("faster", 17),
}
"""For SSIM 0.98, 0.99 and 0.995 against the frames that are encoded, each by the preset that costs the least
CPU without a file of more than half again the size (docs/benchmarks.md has the table)."""


def encoder_settings(quality: Quality, threads: int = 0) -> EncoderSettings:
    """Return the settings of ``quality`` for an encoder of ``threads`` threads."""
    preset, crf = _PRESETS[quality]
    return EncoderSettings(preset, crf, threads)
