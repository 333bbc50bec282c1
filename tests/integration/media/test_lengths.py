"""Length: frames = round(duration x fps), at least 1; video and sound end within one frame."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from app.media.sound import Sound
from app.media.timing import exact_fps
from tests.support.renders import decode_pictures, render, sound_of

RATES = (15, 22.131, 23.976, 24, 25, 29.97, 30, 50, 59.98)
DURATIONS = (0.05, 0.2, 1, 9.99, 25)
SAMPLE_RATE = 8000
SEGMENT_SECONDS = (0.5, 1.5, 10)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Sound]:
    folder = tmp_path_factory.mktemp("sounds")
    return {duration: sound_of(folder / str(duration), duration, SAMPLE_RATE) for duration in DURATIONS}


@pytest.mark.parametrize("duration", DURATIONS)
@pytest.mark.parametrize("written_fps", RATES)
def test_video_and_sound_are_as_long_as_the_sound_was(
    tmp_path: Path, sounds: dict[float, Sound], written_fps: float, duration: float
) -> None:
    fps = exact_fps(written_fps)
    sizes = [max(1, round(seconds * fps)) for seconds in SEGMENT_SECONDS]

    done = render(tmp_path, sounds[duration], fps, sizes)

    frames = max(1, round(duration * written_fps))
    for path in (done.result, done.stream(tmp_path / "stream.mp4")):
        times = [picture.time for picture in decode_pictures(path)]
        assert len(times) == frames
        assert times == pytest.approx([number / fps for number in range(frames)], abs=1e-6)
        assert _sound_end(path) == Fraction(round(duration * SAMPLE_RATE), SAMPLE_RATE)
        assert abs(frames / fps - _sound_end(path)) <= 1 / fps


def _sound_end(path: Path) -> Fraction:
    """Return when the last packet of sound ends; a decoder may add silence to fill its last block."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        ends = [p.pts + p.duration for p in container.demux(stream) if p.pts is not None and p.duration]
        assert stream.time_base is not None
        return max(ends) * stream.time_base
