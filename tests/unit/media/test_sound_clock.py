from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import pytest

from app.media.limits import AudioLimits
from app.media.sound_clock import SoundClock

RATE = 8000
FRAME = 160


def _frames(times: Sequence[float | None], sample_format: str = "s16") -> Iterator[av.AudioFrame]:
    """Yield frames of 20 ms at these times, seconds."""
    for time in times:
        frame = av.AudioFrame(sample_format, "mono", FRAME)
        frame.sample_rate, frame.time_base = RATE, Fraction(1, 90000)
        frame.pts = None if time is None else round(time * 90000)
        yield frame


def _length(times: Sequence[float | None], container: str = "matroska,webm") -> tuple[float, SoundClock]:
    clock = SoundClock(AudioLimits(3600))
    return sum(frame.samples for frame in clock.place(_frames(times), container)) / RATE, clock


def test_a_clock_that_trembles_adds_nothing() -> None:
    times = [0.02 * i + (0.04 if i % 5 == 3 else 0) for i in range(50)]

    assert _length(times)[0] == 1.0


def test_a_clock_that_drifts_adds_nothing() -> None:
    assert _length([0.0201 * i for i in range(500)])[0] == 10.0


def test_a_hole_at_the_end_counts_as_well() -> None:
    assert _length([0.0, 0.02, 0.5])[0] == pytest.approx(0.52)


def test_frames_without_a_time_follow_the_one_before() -> None:
    assert _length([0.0, None, None, 1.0])[0] == pytest.approx(1.02)


def test_a_clock_that_begins_anew_goes_on() -> None:
    length, clock = _length([0.0, 0.02, 5.04, 5.06, 0.0, 0.02, 0.04])

    assert length == pytest.approx(5.08 + 0.06)
    assert float(clock.gaps) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("begin", "left_out"), [(2.0, 0.0), (2.03, 0.03), (2.02, 0.02), (1.97, -0.03), (2.53, 0.06), (3.0, 0.06)]
)
def test_sound_begins_with_the_pictures(begin: float, left_out: float) -> None:
    clock = SoundClock(AudioLimits(10))
    frames = list(clock.place(_frames([2.0, 2.02, 2.5]), "mov", Fraction(begin).limit_denominator(100)))

    assert float(clock.late) == pytest.approx(-left_out)
    assert frames == [] or sum(frame.samples for frame in frames) / RATE == pytest.approx(2.52 - begin)


@pytest.mark.parametrize(("container", "length"), [("mpegts", 0.08), ("matroska,webm", 100.04)])
def test_a_broadcast_may_change_its_clock(container: str, length: float) -> None:
    assert _length([0.0, 0.02, 100.0, 100.02], container)[0] == pytest.approx(length)


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal", "22.2"])
def test_there_is_silence_in_each_of_many_channels(layout: str) -> None:
    frames = [av.AudioFrame("fltp", layout, FRAME) for _ in range(2)]
    for frame, time in zip(frames, (0.0, 0.04), strict=True):
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, 1000), round(1000 * time)

    placed = list(SoundClock(AudioLimits(10)).place(frames, "mov"))

    assert [frame.samples for frame in placed] == [FRAME] * 3


def test_silence_of_unsigned_samples_is_their_middle() -> None:
    clock = SoundClock(AudioLimits(10))

    placed = list(clock.place(_frames([0.0, 0.04], "u8"), "mov"))

    assert (placed[1].to_ndarray() == 128).all()
    assert placed[1].samples == FRAME
