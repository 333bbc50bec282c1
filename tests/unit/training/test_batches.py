import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.packs import drawn_cache  # noqa: E402
from training.batches import BatchSource  # noqa: E402
from training.sampling import MomentSampler  # noqa: E402
from training.settings import TrainSettings  # noqa: E402
from training.shapes import COMPONENTS, measure_shapes  # noqa: E402

SEED, STEP, COUNT = 5, 3, 16


def test_a_painted_shape_has_the_teeth_that_its_reference_lacks() -> None:
    cache = drawn_cache([[0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0]], teeth=(0.3, 0.45))
    track = measure_shapes(cache)
    sampler = MomentSampler(cache, list(cache.spans), track, TrainSettings(), need_sync=False)
    batch = BatchSource(cache, track, sampler, torch.device("cpu"), SEED).batch(STEP, COUNT)
    moments = sampler.draw(np.random.default_rng((SEED, STEP)), COUNT)
    lacking = track.teeth[moments.frames] - track.teeth[moments.references]
    assert np.abs(lacking).max() > 0.1
    assert batch.shape[:, COMPONENTS:].numpy() == pytest.approx(lacking, abs=1e-5)
    assert (batch.shape[:, :COMPONENTS].numpy() == track.shapes[moments.frames, :COMPONENTS]).all()
