import dataclasses

import numpy as np
import pytest

from app.errors import InvalidRequest
from tests.support.packs import drawn_cache
from training.cache import Cache
from training.sampling import MomentSampler
from training.settings import TrainSettings
from training.shapes import measure_shapes

GAPS = [0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0, 0.06, 0.02, 0.07, 0.04]


def sampler(cache: Cache, **settings: object) -> MomentSampler:
    chosen = dataclasses.replace(TrainSettings(), **settings)  # type: ignore[arg-type]
    return MomentSampler(cache, list(cache.spans), measure_shapes(cache), chosen)


def test_the_same_generator_draws_the_same_moments() -> None:
    one, other = (sampler(drawn_cache([GAPS] * 3)).draw(np.random.default_rng(5), 16) for _ in range(2))
    assert np.array_equal(one.frames, other.frames)
    assert np.array_equal(one.columns, other.columns)


def test_windows_lie_inside_the_clip_s_own_sound() -> None:
    cache = drawn_cache([GAPS, GAPS])
    moments = sampler(cache).draw(np.random.default_rng(0), 64)
    assert (moments.columns >= 100 * moments.clips).all()
    assert (moments.columns + 24 <= 100 * (moments.clips + 1)).all()


def test_several_moments_of_a_clip_stand_together() -> None:
    moments = sampler(drawn_cache([GAPS] * 4), per_clip=4).draw(np.random.default_rng(0), 16)
    assert (moments.clips.reshape(4, 4) == moments.clips[::4, None]).all()


def test_without_sound_in_sync_there_is_nothing_to_learn_speech_from() -> None:
    cache = drawn_cache([GAPS])
    mute = dataclasses.replace(cache.spans[0], mel_columns=0)
    silent = dataclasses.replace(cache, spans=(mute,))
    with pytest.raises(InvalidRequest, match="sound in sync"):
        sampler(silent)


def test_a_set_of_weight_zero_is_never_drawn() -> None:
    cache = drawn_cache([GAPS, GAPS])
    other = dataclasses.replace(cache.spans[1], clip=dataclasses.replace(cache.spans[1].clip, set="other"))
    mixed = dataclasses.replace(cache, spans=(cache.spans[0], other))
    moments = sampler(mixed, set_weights={"drawn": 0.0, "other": 1.0}).draw(np.random.default_rng(0), 32)
    assert (moments.clips == 1).all()


def test_a_moment_s_window_is_its_own_up_to_the_clip_s_end() -> None:
    cache = drawn_cache([GAPS])
    short = dataclasses.replace(cache, spans=(dataclasses.replace(cache.spans[0], mel_columns=45),))
    moments = sampler(short).draw(np.random.default_rng(0), 256)
    assert set(moments.frames) == set(range(2, 8))
    assert np.array_equal(moments.columns, np.rint(80 * moments.frames / 25) - 4)
    assert set(moments.references) == set(range(len(GAPS)))
