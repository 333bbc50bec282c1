import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.packs import drawn_cache  # noqa: E402
from training.batches import MOUTH_HEIGHT, MOUTH_WIDTH, Batch, BatchSource  # noqa: E402
from training.sampling import Moments, MomentSampler  # noqa: E402
from training.settings import TrainSettings  # noqa: E402
from training.shade import inner_shades  # noqa: E402
from training.shapes import ShapeTrack, measure_shapes  # noqa: E402

SEED, STEP, COUNT = 5, 3, 16
GAPS = [0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0]


def drawn(rest: float) -> tuple[Batch, ShapeTrack, Moments]:
    """Return a batch, the shapes that it was made from, and the moments that it shows."""
    cache = drawn_cache([GAPS], teeth=(0.2, 0.3))
    track = measure_shapes(cache)
    settings = TrainSettings(near_references=0.0, rest_references=rest)
    sampler = MomentSampler(cache, list(cache.spans), track, settings, need_sync=False)
    batch = BatchSource(cache, track, sampler, torch.device("cpu"), SEED).batch(STEP, COUNT)
    return batch, track, sampler.draw(np.random.default_rng((SEED, STEP)), COUNT)


def test_a_shape_is_told_as_what_the_reference_lacks_and_the_reference_s_own() -> None:
    batch, track, moments = drawn(rest=0.0)
    wanted, own = track.shapes[moments.frames], track.shapes[moments.references]
    assert np.abs(own).max() > 0.1
    assert batch.shape[:, :8].numpy() == pytest.approx(wanted - own, abs=1e-5)
    assert batch.shape[:, 8:16].numpy() == pytest.approx(own, abs=1e-5)


def test_of_a_reference_at_rest_the_own_shape_is_nothing() -> None:
    batch, _, _ = drawn(rest=1.0)
    assert batch.shape[:, 8:16].abs().max() < 1e-3


def test_how_light_a_mouth_is_inside_counts_from_the_reference() -> None:
    batch, _, _ = drawn(rest=0.0)
    mouths = (batch.target, batch.face[:, 3:])
    rows = slice(MOUTH_HEIGHT.start, None)
    columns = slice(MOUTH_WIDTH.start, MOUTH_WIDTH.stop)
    seen = inner_shades(mouths[0][:, :, rows, columns], batch.inner_mouth, TrainSettings().shade)
    told = batch.shape[:, -1]
    closed = batch.more_inside == 0
    assert torch.equal(told[closed], torch.zeros_like(told[closed]))
    assert (told - seen).abs().max() > 0.1
    assert batch.more_inside.min() < -0.1
    assert batch.more_inside.max() > 0.1
