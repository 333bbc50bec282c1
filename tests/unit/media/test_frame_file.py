"""Frames in a file: written one after the other, and over those of an earlier video."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from app.media import frame_file
from app.media.frame_file import FrameReader, RecentFrames, write_frames
from tests.support.frames import Listed


def test_nothing_is_left_of_a_longer_video_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.i420"
    for count in (3, 2):
        frames = [
            [np.full(8, index + count, np.uint8), np.full((2, 2), 7, np.uint8)] for index in range(count)
        ]
        assert len(list(write_frames(frames, path, most_bytes=1000))) == count
    assert path.read_bytes() == bytes([2] * 8 + [7] * 4 + [3] * 8 + [7] * 4)


def test_a_frame_is_read_once_while_it_is_among_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_file, "_RECENT_BYTES", 24)
    source = Listed([np.full(12, index, np.uint8) for index in range(3)])
    recent = RecentFrames(cast(FrameReader, source), 12)
    asked = [(index, int(recent[index][0]), source.bytes_read // 12) for index in (0, 1, 0, 2, 0, 1)]
    assert asked == [(0, 0, 1), (1, 1, 2), (0, 0, 2), (2, 2, 3), (0, 0, 3), (1, 1, 4)]
