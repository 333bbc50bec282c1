"""x265 at a few pixels: in a process of its own, which it has ended."""

import subprocess
import sys
from pathlib import Path

import av
import pytest

NOISE = """
import sys
from fractions import Fraction

import av
import numpy as np

from app.media.encoder import VideoFormat, add_video_stream, encode_pictures
from app.media.frames import FrameLayout
from app.media.quality import encoder_settings

path, width, quality = sys.argv[1], int(sys.argv[2]), sys.argv[3]
layout, noise = FrameLayout(width, 48), np.random.default_rng(0)
video = VideoFormat(layout, Fraction(25), deep=True)
for _ in range(3):
    frames = (noise.integers(0, 1024, layout.deep_bytes // 2).astype("<u2").view(np.uint8) for _ in range(12))
    with av.open(path, "w") as container:
        stream = add_video_stream(container, video, encoder_settings(quality, 1, "libx265"))
        container.start_encoding()
        for packet in encode_pictures(stream, frames, layout):
            container.mux(packet)
"""


@pytest.mark.parametrize("quality", ["draft", "standard", "high"])
@pytest.mark.parametrize("width", [16, 34, 48, 62])
def test_narrow_pictures_of_10_bits_are_encoded(tmp_path: Path, width: int, quality: str) -> None:
    path = tmp_path / "made.mp4"
    script = [sys.executable, "-c", NOISE, str(path), str(width), quality]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
