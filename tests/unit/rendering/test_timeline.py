from fractions import Fraction

import pytest

from app.rendering.timeline import SEGMENT_SECONDS, Loop, Timeline, split_segments


def shown(count: int, *, avatar_frames: int, start_frame: int = 0, loop: Loop = "pingpong") -> list[int]:
    fps = Fraction(25)
    timeline = Timeline(count, fps, avatar_frames, fps, start_frame, loop)
    return [timeline.avatar_frame(index) for index in range(count)]


def test_pingpong_turns_without_a_jump() -> None:
    assert shown(9, avatar_frames=4) == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_restart_begins_again() -> None:
    assert shown(6, avatar_frames=4, loop="restart") == [0, 1, 2, 3, 0, 1]


def test_a_start_frame_moves_the_beginning_and_may_lie_beyond_the_end() -> None:
    assert shown(3, avatar_frames=4, start_frame=2) == [2, 3, 2]
    assert shown(3, avatar_frames=4, start_frame=7) == [1, 2, 3]
    assert shown(3, avatar_frames=4, start_frame=7, loop="restart") == [3, 0, 1]


@pytest.mark.parametrize("loop", ["pingpong", "restart"])
def test_an_avatar_of_one_frame_stays(loop: Loop) -> None:
    assert shown(3, avatar_frames=1, start_frame=5, loop=loop) == [0, 0, 0]


def test_the_avatar_keeps_its_speed_at_another_frame_rate() -> None:
    double = Timeline(8, Fraction(50), 100, Fraction(25))
    half = Timeline(4, Fraction(25, 2), 100, Fraction(25))
    assert [double.avatar_frame(index) for index in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [half.avatar_frame(index) for index in range(4)] == [0, 2, 4, 6]


def test_an_hour_at_an_ntsc_rate_does_not_drift() -> None:
    timeline = Timeline(107892, Fraction(30000, 1001), 10**6, Fraction(30000, 1001))
    assert timeline.avatar_frame(107891) == 107891
    assert timeline.time(107892) == pytest.approx(3600, abs=0.04)


@pytest.mark.parametrize("fps", [Fraction(15), Fraction(24000, 1001), Fraction(25), Fraction(5998, 100)])
@pytest.mark.parametrize("count", [1, 2, 24, 25, 26, 1500, 90000])
def test_segments_cover_every_frame_once_and_only_the_last_is_last(count: int, fps: Fraction) -> None:
    segments = split_segments(count, fps)
    assert [segment.index for segment in segments] == list(range(len(segments)))
    position = 0
    for segment in segments:
        assert segment.first_frame == position
        assert 1 <= segment.frame_count <= SEGMENT_SECONDS * fps + 1
        position += segment.frame_count
    assert position == count
    assert [segment.last for segment in segments] == [False] * (len(segments) - 1) + [True]


def test_the_first_segments_are_short() -> None:
    counts = [segment.frame_count for segment in split_segments(1000, Fraction(25))]
    assert counts == [25, 50, 100, 250, 250, 250, 75]
