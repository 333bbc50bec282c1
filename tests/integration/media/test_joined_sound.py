"""The sound of many segments, joined, is as good at their borders as anywhere else."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.media.aac import FRAME, packet_range
from app.media.sound import Sound
from tests.support.renders import decode_samples, plan, render, sound_of

FPS = Fraction(25)
Errors = npt.NDArray[np.float64]


def _errors(folder: Path, sound: Sound, sizes: list[int]) -> Errors:
    """Return the squared error of each 1024-sample block of the decoded render."""
    decoded = decode_samples(render(folder, sound, FPS, sizes).result)[:, : sound.samples]
    original = sound.read_track(0, sound.samples).T / 32768
    squared = ((decoded - original) ** 2).mean(axis=0)
    blocks = len(squared) // FRAME
    errors: Errors = squared[: blocks * FRAME].reshape(blocks, FRAME).mean(axis=1)
    return errors


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2)])
def test_borders_are_no_worse_than_in_one_continuous_encoding(
    tmp_path: Path, rate: int, channels: int
) -> None:
    sound = sound_of(tmp_path, 6, rate, channels)
    sizes = [15]
    joined = _errors(tmp_path / "joined", sound, sizes)
    continuous = _errors(tmp_path / "continuous", sound, [100_000])
    firsts = [packet_range(segment, FPS, sound).start - 1 for segment in plan(150, sizes)[1:]]
    border = np.unique([block + step for block in firsts for step in (-1, 0, 1) if block + 1 < len(joined)])

    assert joined[border].mean() < 1.3 * continuous[border].mean()
    assert joined.mean() < 1.3 * continuous.mean()
    assert joined.max() < 2 * continuous.max(), "no click anywhere"
