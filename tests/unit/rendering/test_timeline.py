from fractions import Fraction
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.rendering.options import RenderOptions
from app.rendering.timeline import SEGMENT_SECONDS, Loop, Timeline, lay_out, split_segments


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


RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
LENGTHS = get_args(get_type_hints(RenderOptions)["length"])
LOOPS: tuple[Loop, ...] = get_args(Loop)


def laid(sound: float, frames: int = 50, last_word: float = 1e9, **options: Any) -> Timeline:
    """Lay out a clip of 25 frames a second, two seconds long."""
    return lay_out(RenderOptions(**options), frames, Fraction(25), sound, last_word)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_is_exact_and_every_frame_one_of_the_clip(
    length: str, loop: Loop, fps: Fraction
) -> None:
    for milliseconds in (1, 40, 999, 1300, 1999, 2000, 2001, 2019, 2021, 4700, 60_017):
        sound = milliseconds / 1000
        for start, end in ((0.0, None), (0.4, 1.2), (1.96, 2.0)):
            made = laid(sound, length=length, loop=loop, fps=fps, start=start, end=end)
            clip = (Fraction(str(end or 2)) - Fraction(str(start))) * 25
            both: list[float | Fraction] = [sound, clip / 25]
            by_rule: dict[str, Any] = {
                "audio": sound,
                "video": clip / 25,
                "shortest": min(both),
                "longest": max(both),
            }
            wanted = by_rule[length]
            assert made.duration == wanted
            assert made.frame_count == max(1, round(wanted * fps))
            shown = [made.avatar_frame(index) for index in range(made.frame_count)]
            assert min(shown) >= round(start * 25)
            assert max(shown) < round((end or 2) * 25)


@pytest.mark.parametrize("loop", LOOPS)
def test_all_of_the_clip_is_shown_once_if_the_video_is_as_long_as_it(loop: Loop) -> None:
    made = laid(0.3, length="video", loop=loop)
    assert [made.avatar_frame(index) for index in range(made.frame_count)] == list(range(50))


def test_a_clip_that_is_held_ends_with_its_last_frame() -> None:
    made = laid(3.0, loop="hold", start=1.0)
    assert [made.avatar_frame(index) for index in (0, 24, 25, 74)] == [25, 49, 49, 49]


@pytest.mark.parametrize("sound", [0.4, 1.9, 2.0, 2.1, 7.3])
def test_a_clip_that_is_stretched_is_shown_evenly_from_its_beginning_to_its_end(sound: float) -> None:
    made = laid(sound, loop="stretch", start=0.2)
    shown = np.array([made.avatar_frame(index) for index in range(made.frame_count)])
    speed = 45 / made.frame_count
    assert np.abs(shown - 5 - speed * (np.arange(len(shown)) + 0.5)).max() <= 1
    assert shown[0] - 5 <= speed
    assert 49 - shown[-1] <= speed
    assert (np.diff(shown) >= 0).all()


def test_a_start_frame_is_counted_from_the_start_and_shortens_the_clip() -> None:
    made = laid(5.0, length="video", start=0.4, start_frame=5)
    assert (made.frame_count, made.avatar_frame(0), made.avatar_frame(34)) == (35, 15, 49)


def test_a_photo_lasts_as_long_as_the_sound() -> None:
    for length in LENGTHS:
        assert laid(1.3, frames=1, length=length).duration == 1.3


def test_kept_frames_keep_their_mouths_and_those_beside_give_way_softly() -> None:
    made = laid(2.0, keep="0.28-0.4,1.9-2")
    weights = made.mouth_weights(range(made.frame_count))
    assert (weights[[7, 8, 9, 47, 48, 49]] == 0).all()
    assert weights[3:7].tolist() == [1, 0.75, 0.5, 0.25]
    assert weights[10:14].tolist() == [0.25, 0.5, 0.75, 1]
    assert (weights[14:44] == 1).all()
    assert (laid(2.0).mouth_weights(range(50)) == 1).all()


def test_after_the_last_word_the_clips_own_mouth_stays_if_that_is_asked_for() -> None:
    own = laid(0.8, last_word=0.6, length="video", rest="own", keep="0.1-0.2,0.5-1")
    assert own.kept == (range(2, 5), range(12, 50))
    assert laid(0.8, last_word=0.6, length="video").kept == ()


def spans(sound: float, **options: Any) -> list[tuple[float, float | None]]:
    return [
        (float(span.seconds), None if span.begin is None else float(span.begin))
        for span in laid(sound, **options).own_sound()
    ]


def test_the_own_sound_goes_with_the_clip_and_begins_again_with_it() -> None:
    assert spans(1.5, start=0.4) == [(1.5, 0.4)]
    assert spans(5.0, loop="restart", start_frame=25) == [(1.0, 1.0), (2.0, 0.0), (2.0, 0.0)]
    assert spans(4.5) == [(2.0, 0.0), (1.96, 0.04), (0.54, 0.04)]
    assert spans(3.0, loop="hold", end=1.0) == [(1.0, 0.0), (2.0, None)]
    assert spans(1.0, loop="stretch") == [(1.0, 0.0)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": "1-0.5"}, "ends before it starts"),
        ({"keep": "1-1"}, "ends before it starts"),
        ({"keep": "0.5-1,0.9-1.2"}, "overlap"),
        ({"keep": "1.2-1.4,1-1.3"}, "overlap"),
        ({"keep": "1.5-2.5"}, "lies beyond the end of the result, which lasts 2.00 s"),
        ({"keep": "1-2,"}, "seconds such as"),
        ({"keep": "-1-2"}, "seconds such as"),
        ({"keep": "nan-inf"}, "seconds such as"),
        ({"keep": ",".join(["1-2"] * 101)}, "up to 100"),
        ({"start": 1.0, "end": 1.0}, "must lie after its start"),
        ({"start": 2.0}, "lies beyond the clip, which lasts 2.00 s"),
        ({"end": 2.5}, "lies beyond the clip"),
        ({"start": 1.0, "end": 1.001}, "no frame of the clip between them"),
        ({"start": float("nan")}, "start"),
        ({"length": "long"}, "length"),
    ],
)
def test_times_that_cannot_be_are_refused_with_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        laid(2.0, **options)
