import pytest

from app.errors import NotAudio, TooManyFrames, TooManyPixels
from app.media.limits import MAX_SIDE, AudioLimits, VideoLimits, check_frames, check_pixels, check_sound


def test_an_hour_at_120_frames_a_second_is_more_than_the_limit() -> None:
    limits = AudioLimits(3660, max_frames=220_000)
    check_frames(216_000, limits)
    with pytest.raises(TooManyFrames, match="432000 frames"):
        check_frames(432_000, limits)


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (3999, 1), (400_000, 2), (48000, 25)])
def test_sound_that_would_grow_without_bound_is_not_read(rate: int, channels: int) -> None:
    with pytest.raises(NotAudio):
        check_sound(rate, channels)


def test_a_picture_longer_than_an_encoder_takes_is_refused_however_narrow() -> None:
    limits = VideoLimits(60, 4096 * 2304)
    for size in ((MAX_SIDE, 64), (64, MAX_SIDE)):
        check_pixels(*size, limits)
    for size in ((MAX_SIDE + 1, 64), (64, MAX_SIDE + 1)):
        with pytest.raises(TooManyPixels, match="neither side"):
            check_pixels(*size, limits)
