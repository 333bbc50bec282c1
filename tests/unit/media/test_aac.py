from fractions import Fraction

import pytest

from app.media.aac import FRAME, packet_range
from app.media.sound import Sound
from tests.support.renders import plan


def _sound(samples: int, rate: int) -> Sound:
    return Sound("track", "speech", rate, 1, "mono", samples, 0, samples / rate)


@pytest.mark.parametrize("fps", [Fraction(15), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("sizes", [[1], [7, 1, 30], [25, 250]])
def test_every_packet_belongs_to_exactly_one_segment(fps: Fraction, rate: int, sizes: list[int]) -> None:
    sound = _sound(7 * rate + 123, rate)
    segments = plan(round(Fraction(sound.samples, rate) * fps), sizes)

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
