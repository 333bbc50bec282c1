import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.mouths.space import COMPONENTS  # noqa: E402
from tests.support.packs import drawn_cache  # noqa: E402
from training.batches import MOUTH_HEIGHT, MOUTH_WIDTH, Batch, BatchSource  # noqa: E402
from training.sampling import Moments, MomentSampler  # noqa: E402
from training.settings import TrainSettings  # noqa: E402
from training.shade import inner_shades  # noqa: E402
from training.shapes import ShapeTrack, measure_shapes, smiling  # noqa: E402

SEED, STEP, COUNT = 5, 3, 16
GAPS = [0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0]


def drawn(teeth: tuple[float, float]) -> tuple[Batch, ShapeTrack, Moments]:
    """Return a batch, the shapes that it was made from, and the moments that it shows."""
    cache = drawn_cache([GAPS], teeth=teeth)
    track = measure_shapes(cache)
    settings = TrainSettings(closed_references=0.5)
    sampler = MomentSampler(cache, list(cache.spans), track, settings, need_sync=False)
    batch = BatchSource(cache, track, sampler, torch.device("cpu"), SEED).batch(STEP, COUNT)
    return batch, track, sampler.draw(np.random.default_rng((SEED, STEP)), COUNT)


def test_a_painted_shape_has_the_teeth_that_its_reference_lacks() -> None:
    batch, track, moments = drawn((0.2, 0.3))
    lacking = track.teeth[moments.frames] - track.teeth[moments.references]
    assert np.abs(lacking).max() > 0.1
    assert batch.shape[:, COMPONENTS:-1].numpy() == pytest.approx(lacking, abs=1e-5)
    assert (batch.shape[:, :COMPONENTS].numpy() == track.shapes[moments.frames, :COMPONENTS]).all()


def test_of_a_reference_that_smiles_the_shape_counts_from_it() -> None:
    batch, track, moments = drawn((0.9, 0.9))
    smiles = smiling(track)[moments.references]
    assert 0 < smiles.sum() < COUNT
    own, reference = (track.shapes[rows, :COMPONENTS] for rows in (moments.frames, moments.references))
    wanted = np.where(smiles[:, None], own - reference, own)
    assert batch.shape[:, :COMPONENTS].numpy() == pytest.approx(wanted, abs=1e-5)


def test_how_dark_a_mouth_is_inside_is_told_and_counts_from_a_smile() -> None:
    batch, track, moments = drawn((0.9, 0.9))
    smiles = smiling(track)[moments.references]
    mouths = batch.target[:, :, MOUTH_HEIGHT.start :, MOUTH_WIDTH.start : MOUTH_WIDTH.stop]
    seen, told = inner_shades(mouths, batch.inner_mouth).numpy(), batch.shape[:, -1].numpy()
    assert told[~smiles] == pytest.approx(seen[~smiles])
    assert np.abs(told - seen)[smiles].max() > 0.1
