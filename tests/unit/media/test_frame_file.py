"""Frames in a file: written one after the other, and over those of an earlier video."""

from pathlib import Path

import numpy as np

from app.media.frame_file import write_frames


def test_nothing_is_left_of_a_longer_video_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.i420"
    for count in (3, 2):
        frames = [np.full(12, index + count, np.uint8) for index in range(count)]
        assert len(list(write_frames(frames, path, most_bytes=1000))) == count
    assert path.read_bytes() == bytes([2] * 12 + [3] * 12)
