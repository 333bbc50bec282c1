from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.aac import FRAME, packet_range
from app.media.sound import Sound
from app.media.timing import frame_count
from tests.support.renders import plan


def _sound(samples: int, rate: int) -> Sound:
    return Sound("track", "speech", rate, 1, "mono", samples, 0, samples / rate)


@given(
    samples=st.integers(1, 100_000),
    rate=st.sampled_from([8000, 16000, 44100, 48000]) | st.integers(4000, 96000),
    fps=st.sampled_from([Fraction(24000, 1001), Fraction(25)]) | st.fractions(1, 120, max_denominator=1001),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5),
)
def test_every_packet_belongs_to_exactly_one_segment(
    samples: int, rate: int, fps: Fraction, sizes: list[int]
) -> None:
    sound = _sound(samples, rate)
    segments = plan(frame_count(Fraction(samples, rate), fps), sizes)

    packets = [packet for segment in segments for packet in packet_range(segment, fps, sound)]

    assert packets == list(range(-(-sound.samples // FRAME) + 1))


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_a_packet_begins_to_sound_within_its_segment(fps: Fraction) -> None:
    sound = _sound(480000, 48000)
    for segment in plan(round(10 * fps), [10, 50, 100])[:-1]:
        packets = packet_range(segment, fps, sound)
        first_sample = (packets.start - 1) * FRAME if segment.index else 0
        last_sample = (packets.stop - 2) * FRAME
        assert segment.first_frame / fps <= Fraction(first_sample, 48000)
        assert Fraction(last_sample, 48000) < (segment.first_frame + segment.frame_count) / fps


def test_a_sound_shorter_than_the_video_leaves_the_last_segment_empty() -> None:
    sound = _sound(800, 16000)
    segments = plan(3, [1])

    assert [list(packet_range(segment, Fraction(60), sound)) for segment in segments] == [[0, 1], [], []]
