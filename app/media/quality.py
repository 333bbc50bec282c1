"""The encoder settings of each quality."""

from dataclasses import dataclass
from typing import Final, Literal

Quality = Literal["draft", "standard", "high"]
Encoder = Literal["libx264", "h264_nvenc", "libx265"]
"""FFmpeg's name of an encoder of H.264, x264 on the CPU or the one in NVIDIA's cards, or of HEVC."""


@dataclass(frozen=True)
class EncoderSettings:
    """How pictures are encoded.

    ``preset`` and ``crf`` are as in the encoder's manual, NVENC's CQ standing in for CRF; ``threads`` are
    those of x264 (0: chosen from the cores).
    """

    preset: str
    crf: float
    threads: int = 0
    encoder: Encoder = "libx264"

    def options(self, width: int) -> dict[str, str]:
        """Return the encoder's own options for pictures of a ``width``.

        NVENC reorders no pictures, so that a cut between segments is free.
        """
        if self.encoder == "h264_nvenc":
            quality = {"rc": "vbr", "cq": f"{self.crf:g}", "b": "0"}
            return {"preset": self.preset, **quality, "bf": "0", "forced-idr": "1", "profile": "high"}
        if self.encoder == "libx265":
            return {"preset": self.preset, "crf": f"{self.crf:g}", "x265-params": _x265(width)}
        return {
            "preset": self.preset,
            "crf": f"{self.crf:g}",
            "profile": "high",
            **_X264.get(self.preset, {}),
        }


_X264: Final = {"superfast": {"x264-params": "b-adapt=0:scenecut=0:sync-lookahead=0"}}
"""The preset follows the motion in small copies of pictures, only to choose which refers to which others.
In a fixed order it takes 0.63 to 0.84 of the CPU time (docs/benchmarks.md), and no thread need look ahead."""

_X265: Final = "bframes=0:open-gop=0:frame-threads=1:log-level=none"
"""Runs that can be joined, and that are the same whatever the threads."""

LEAST_HEVC: Final = 16
"""Pixels across and down of which x265 encodes pictures, at least."""

_TREE_WIDTH: Final = 64
"""Pixels below which x265 follows no motion in small copies of pictures: up to 48 its vector code writes
beyond the end of the block costs (``cutree``, x265 4.2), which ends the process."""

_PRESETS: Final[dict[Encoder, dict[Quality, tuple[str, float]]]] = {
    "libx264": {"draft": ("ultrafast", 23), "standard": ("superfast", 22), "high": ("faster", 17)},
    "libx265": {"draft": ("ultrafast", 26), "standard": ("superfast", 21), "high": ("faster", 17)},
    "h264_nvenc": {"draft": ("p2", 26), "standard": ("p4", 22), "high": ("p6", 17)},
}
"""x264: for SSIM 0.98, 0.99 and 0.995 against the frames that are encoded, each by the preset that costs the
least CPU without a file of more than half again the size (docs/benchmarks.md has the table). NVENC: the same
numbers on a scale that is much the same, not measured. x265: 0.983, 0.9905 and 0.995 on the
demo clip at 720p."""


def _x265(width: int) -> str:
    return _X265 if width >= _TREE_WIDTH else f"{_X265}:cutree=0"


def encoder_settings(quality: Quality, threads: int = 0, encoder: Encoder = "libx264") -> EncoderSettings:
    """Return the settings of ``quality`` for an encoder of ``threads`` threads."""
    preset, crf = _PRESETS[encoder][quality]
    return EncoderSettings(preset, crf, threads, encoder)
