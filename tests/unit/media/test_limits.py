import pytest

from app.errors import NotAudio, TooManyFrames
from app.media.limits import AudioLimits, check_frames, check_sound


def test_an_hour_at_120_frames_a_second_is_more_than_the_limit() -> None:
    limits = AudioLimits(3660, max_frames=220_000)
    check_frames(216_000, limits)
    with pytest.raises(TooManyFrames, match="432000 frames"):
        check_frames(432_000, limits)


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (3999, 1), (400_000, 2), (48000, 25)])
def test_sound_that_would_grow_without_bound_is_not_read(rate: int, channels: int) -> None:
    with pytest.raises(NotAudio):
        check_sound(rate, channels)
