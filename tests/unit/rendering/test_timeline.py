from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.media.sound import SPEECH_RATE, Sound
from app.mouths.person import soft_frames
from app.progress import nothing
from app.rendering.options import RenderOptions
from app.rendering.renderer import timeline_of
from app.rendering.timeline import SEGMENT_SECONDS, Loop, Timeline, lay_out, split_segments

RATES = st.sampled_from(
    [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
) | st.fractions(1, 120, max_denominator=1001)
LENGTHS = get_args(get_type_hints(RenderOptions)["length"])
LOOPS: tuple[Loop, ...] = get_args(Loop)


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


@given(count=st.integers(1, 20_000), fps=RATES)
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


def test_the_last_segments_of_a_render_that_workers_share_are_short() -> None:
    counts = [segment.frame_count for segment in split_segments(90 * 25, Fraction(25))]
    assert counts == [25, 50, 100, *[250] * 6, *[125] * 4, 75]


def laid(sound: float, frames: int = 50, last_word: float = 1e9, **options: Any) -> Timeline:
    """Lay out a clip of 25 frames a second, two seconds long."""
    return lay_out(RenderOptions(**options), frames, Fraction(25), sound, last_word)


@given(
    length=st.sampled_from(LENGTHS),
    loop=st.sampled_from(LOOPS),
    fps=RATES,
    milliseconds=st.integers(1, 5000) | st.integers(1, 60_000),
    part=st.tuples(st.integers(0, 49), st.none() | st.integers(1, 50)).filter(
        lambda part: part[1] is None or part[0] < part[1]
    ),
)
def test_every_length_is_exact_and_every_frame_one_of_the_clip(
    length: str, loop: Loop, fps: Fraction, milliseconds: int, part: tuple[int, int | None]
) -> None:
    sound, (first, stop) = milliseconds / 1000, part
    end = None if stop is None else stop / 25
    made = laid(sound, length=length, loop=loop, fps=fps, start=first / 25, end=end)
    clip = Fraction((stop or 50) - first, 25)
    both: list[float | Fraction] = [sound, clip]
    by_rule = {"audio": sound, "video": clip, "shortest": min(both), "longest": max(both)}
    assert made.duration == by_rule[length]
    assert made.frame_count == max(1, round(made.duration * made.fps))
    shown = [made.avatar_frame(index) for index in range(made.frame_count)]
    assert set(shown) <= set(range(first, stop or 50))


@given(loop=st.sampled_from(LOOPS), frames=st.integers(1, 40), start=st.integers(0, 100))
def test_a_clip_at_its_own_rate_goes_on_frame_by_frame(loop: Loop, frames: int, start: int) -> None:
    for before, after in pairwise(shown(100, avatar_frames=frames, start_frame=start, loop=loop)):
        match loop:
            case "pingpong":
                assert abs(after - before) == min(1, frames - 1)
            case "restart":
                assert after == (before + 1) % frames
            case "hold":
                assert after == min(before + 1, frames - 1)
            case "stretch":
                assert after in (before, before + 1)


@given(
    loop=st.sampled_from(LOOPS), seconds=st.integers(1, 9000), first=st.integers(0, 49), at=st.integers(0, 99)
)
def test_the_own_sound_is_as_long_as_the_result_and_comes_from_the_clip(
    loop: Loop, seconds: int, first: int, at: int
) -> None:
    made = laid(seconds / 1000, loop=loop, start=first / 25, start_frame=at)
    heard = list(made.own_sound())
    assert sum(span.seconds for span in heard) == Fraction(made.duration)
    for span in heard:
        assert span.seconds > 0
        assert span.begin is None or Fraction(first, 25) <= span.begin <= 2 - span.seconds


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
    assert laid(5.0, start=0.4, start_frame=5).clip_seconds == Fraction(35, 25)


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


@given(marks=st.lists(st.integers(0, 20_000), min_size=2, max_size=20, unique=True).map(sorted), fps=RATES)
def test_in_kept_ranges_no_frame_is_changed_and_beside_them_each_nearer_one_less(
    marks: list[int], fps: Fraction
) -> None:
    ranges = [(start, end) for start, end in zip(marks[::2], marks[1::2], strict=False)]
    keep = ",".join(f"{start / 1000}-{end / 1000}" for start, end in ranges)
    made = laid(20.0, keep=keep, fps=fps)
    weights = made.mouth_weights(range(made.frame_count))
    assert ((weights >= 0) & (weights <= 1)).all()
    for start, end in ranges:
        inside = range(ceil(start * made.fps / 1000), min(ceil(end * made.fps / 1000), made.frame_count))
        assert (weights[inside] == 0).all()
    assert np.abs(np.diff(weights)).max(initial=0) <= 1 / (soft_frames(float(made.fps)) + 1) + 1e-6


def test_after_the_last_word_the_clips_own_mouth_stays_if_that_is_asked_for() -> None:
    own = laid(0.8, last_word=0.6, length="video", rest="own", keep="0.1-0.2,0.5-1")
    assert own.kept == (range(2, 5), range(12, 50))
    assert laid(0.8, last_word=0.6, length="video").kept == ()


@pytest.mark.parametrize(
    ("words", "sound", "offset_ms", "first"),
    [
        (0.5, 2.0, 0, 17),  # half a second of voice, and a fifth to close
        (0.5, 2.0, 400, 27),
        (0.5, 2.0, -400, 17),
        (0.5, 0.5, 0, 12),
        (0.5, 0.5, 400, 22),  # after the sound, in the silence that follows
        (0.0, 0.5, 400, 0),
    ],
)
def test_a_mouth_that_moves_later_stays_the_clips_own_as_much_later(
    tmp_path: Path, words: float, sound: float, offset_ms: float, first: int
) -> None:
    signal = np.zeros(round(sound * SPEECH_RATE), np.float32)
    signal[: round(words * SPEECH_RATE)] = 0.1
    signal.tofile(tmp_path / "speech")
    count = len(signal)
    heard = Sound("", str(tmp_path / "speech"), SPEECH_RATE, 1, "mono", count, count, sound)
    options = RenderOptions(rest="own", length="video", mouth_offset_ms=offset_ms)
    made = timeline_of(options, 100, Fraction(25), heard, nothing)
    assert made.kept == (range(first, 100),)


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


@pytest.mark.parametrize("frames", [1, 2, 12])
@pytest.mark.parametrize("loop", ["restart", "pingpong"])
def test_the_own_sound_of_a_clip_so_short_that_it_would_buzz_is_heard_once(loop: Loop, frames: int) -> None:
    once = frames / 25
    assert spans(3.0, loop=loop, frames=frames) == [(once, 0.0), (pytest.approx(3.0 - once), None)]


@pytest.mark.parametrize("start", range(54))
def test_the_own_sound_goes_with_a_clip_that_starts_anywhere_on_its_way_to_and_fro(start: int) -> None:
    made = laid(1.0, frames=14, start_frame=start)
    shown = [made.avatar_frame(index) for index in range(25)]
    index = 0
    for span in made.own_sound():
        assert span.begin is not None
        first, stop = int(span.begin * 25), index + int(span.seconds * 25)
        if shown[index : index + 2] == [first, first + 1]:
            assert shown[index:stop] == list(range(first, first + stop - index))
        else:
            assert shown[index:stop] == list(range(shown[index], shown[index] - stop + index, -1))
        assert stop == 25 or (shown[stop - 1] in (0, 13) and first + stop - index == 14)
        index = stop
    assert index == 25


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("start", range(14))
def test_a_result_begins_with_the_same_frame_whatever_its_length(loop: Loop, start: int) -> None:
    first = laid(1.0, frames=4, loop=loop, start_frame=start).avatar_frame(0)
    for length in LENGTHS:
        assert laid(1.0, frames=4, loop=loop, start_frame=start, length=length).avatar_frame(0) == first
    whole = laid(0.1, frames=4, loop=loop, start_frame=start, length="video")
    assert [whole.avatar_frame(index) for index in range(whole.frame_count)] == list(range(first, 4))
    assert next(whole.own_sound()).begin == Fraction(first, 25)


@pytest.mark.parametrize("start", [1.96, 1.97, 1.981, 1.99, 1.9999])
def test_a_clip_that_begins_within_its_last_frame_is_that_frame(start: float) -> None:
    assert laid(1.0, start=start).clip_begin == 49
    assert laid(1.0, start=start, end=2.0).clip_begin == 49


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
