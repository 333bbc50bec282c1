from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.timing import MAX_FPS, MIN_FPS, choose_fps, exact_fps, frame_count


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (24.0, Fraction(24)),
        (25, Fraction(25)),
        (59.98, Fraction(2999, 50)),
        (22.131, Fraction(22131, 1000)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
    ],
)
def test_a_written_rate_stands_for_an_exact_one(written: float, meant: Fraction) -> None:
    assert exact_fps(written) == meant


@pytest.mark.parametrize(
    ("measured", "nominal", "chosen"),
    [
        (Fraction(2998, 100), 30, Fraction(30)),  # one picture was dropped
        (Fraction(18), 30, Fraction(30)),  # many were
        (Fraction(18), 1000, Fraction(18)),  # the nominal rate is a clock's
        (Fraction(24), 60, Fraction(24)),  # no camera's rate that was missed
        (None, 50, Fraction(50)),
        (None, 90_000, Fraction(25)),
    ],
)
def test_the_rate_of_a_clip_is_the_one_that_was_meant(
    measured: Fraction | None, nominal: int, chosen: Fraction
) -> None:
    assert choose_fps(measured, [Fraction(nominal)]) == chosen


@pytest.mark.parametrize(
    ("duration", "fps", "frames"),
    [
        (0.05, Fraction(15), 1),
        (0.0001, Fraction(25), 1),
        (1.0, Fraction(24000, 1001), 24),
        (9.99, Fraction(30000, 1001), 299),
        (3600.0, Fraction(24000, 1001), 86314),
    ],
)
def test_frames_are_the_nearest_whole_number_and_at_least_one(
    duration: float, fps: Fraction, frames: int
) -> None:
    assert frame_count(duration, fps) == frames


@given(st.fractions(MIN_FPS, MAX_FPS))
def test_an_exact_rate_is_near_what_was_written_and_stands_for_itself(written: Fraction) -> None:
    rate = exact_fps(written)
    assert abs(rate - written) <= written / 5000 + Fraction(1, 1001)
    assert rate.denominator <= 1001
    assert exact_fps(rate) == rate


@given(st.fractions(0, 4000), st.fractions(MIN_FPS, MAX_FPS))
def test_frames_are_off_by_half_of_one_at_most(seconds: Fraction, fps: Fraction) -> None:
    frames = frame_count(seconds, fps)
    assert frames == 1 or abs(frames - seconds * fps) <= Fraction(1, 2)
