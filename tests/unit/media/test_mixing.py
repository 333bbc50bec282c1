"""The video's own sound under the new one, of sounds written as they are decoded."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app.media.mixing import Span, mixed
from app.media.sound import SPEECH_RATE, Sound
from app.progress import nothing


@pytest.mark.parametrize("more", [0, 1, 2, 100])
def test_a_sound_that_ends_a_little_after_a_second_is_mixed_to_its_end(tmp_path: Path, more: int) -> None:
    """The last of these has no sample at 16 kHz: it is speech of a second less."""
    rate = 48000
    samples = 2 * rate + more
    speech_samples = round(Fraction(samples * SPEECH_RATE, rate))
    track, speech, result = (tmp_path / name for name in ("track", "speech", "mixture"))
    np.full(samples, 1000, np.int16).tofile(track)
    np.zeros(speech_samples, np.float32).tofile(speech)
    sound = Sound(str(track), str(speech), rate, 1, "mono", samples, speech_samples, duration=samples / rate)
    mixture = mixed(sound, sound, [Span(Fraction(samples, rate), Fraction(0))], 1.0, result, nothing)
    mixed_samples = np.fromfile(mixture.track_path, np.int16)
    assert len(mixed_samples) == samples
    assert np.abs(mixed_samples[rate : 2 * rate - rate // 50] - 2000).max() <= 2
