from pathlib import Path

import numpy as np

from app.audio.logmel import log_mel
from tests.support.clips import speech_like
from tests.support.ears import sound_of
from tests.unit.audio.reference import reference_log_mel


def test_the_columns_equal_an_independent_computation(tmp_path: Path) -> None:
    samples = speech_like(1.5)
    expected = reference_log_mel(samples)
    made = log_mel(sound_of(tmp_path / "speech", samples), 0, expected.shape[1], 1.0)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)


def test_any_stretch_equals_the_same_columns_of_the_whole_to_the_bit(tmp_path: Path) -> None:
    sound = sound_of(tmp_path / "speech", speech_like(3.3))
    whole = log_mel(sound, -150, 500, 2.5)
    for start, stop in ((-150, -149), (-7, 33), (99, 101), (100, 300), (211, 468)):
        np.testing.assert_array_equal(log_mel(sound, start, stop, 2.5), whole[:, start + 150 : stop + 150])


def test_outside_of_the_sound_every_column_has_the_least_value(tmp_path: Path) -> None:
    sound = sound_of(tmp_path / "speech", speech_like(1.0))
    assert (log_mel(sound, -300, -2, 1.0) == -0.75).all()
    assert (log_mel(sound, 102, 400, 1.0) == -0.75).all()
    assert (log_mel(sound, 0, 100, 1.0) > -0.75).any(axis=0).all()
