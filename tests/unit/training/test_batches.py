import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.packs import drawn_cache  # noqa: E402
from training.batches import BatchSource  # noqa: E402
from training.sampling import MomentSampler  # noqa: E402
from training.settings import TrainSettings  # noqa: E402
from training.shapes import measure_shapes  # noqa: E402

SEED, STEP, COUNT = 5, 3, 16
GAPS = [0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0]


def test_a_sample_is_told_with_the_target_s_shape_and_the_reference_is_another_frame_of_the_clip() -> None:
    cache = drawn_cache([GAPS, GAPS], teeth=(0.2, 0.3))
    track = measure_shapes(cache)
    sampler = MomentSampler(cache, list(cache.spans), track, TrainSettings())
    batch = BatchSource(cache, track, sampler, torch.device("cpu"), SEED).batch(STEP, COUNT)
    moments = sampler.draw(np.random.default_rng((SEED, STEP)), COUNT)
    assert batch.shape.numpy() == pytest.approx(track.shapes[moments.frames], abs=1e-5)
    assert (moments.references // len(GAPS) == moments.frames // len(GAPS)).all()
    assert (moments.references != moments.frames).any()


def test_more_of_a_mouth_that_is_open_wider_lies_within_the_lips() -> None:
    cache = drawn_cache([GAPS])
    track = measure_shapes(cache)
    sampler = MomentSampler(cache, list(cache.spans), track, TrainSettings())
    source = BatchSource(cache, track, sampler, torch.device("cpu"), SEED)
    batch = source.batch(STEP, COUNT, augmented=False)
    moments = sampler.draw(np.random.default_rng((SEED, STEP)), COUNT)
    shown = batch.inner_mouth.sum((1, 2, 3)).numpy()
    assert np.corrcoef(shown, track.openings[moments.frames])[0, 1] > 0.95
    assert (batch.face[:, :3, 48:] == 0).all()
    assert batch.face.shape == (COUNT, 6, 96, 96)
