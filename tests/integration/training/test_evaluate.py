import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.errors import InvalidRequest  # noqa: E402
from app.wav2lip.infer import Wav2LipInfer  # noqa: E402
from tests.support.onnx_models import TinyModel  # noqa: E402
from tests.support.packs import write_pack  # noqa: E402
from training.cache import Cache, open_cache  # noqa: E402
from training.evaluate import (  # noqa: E402
    closed_faces,
    evaluate,
    face_crops,
    heard_frames,
    judged,
    mel_windows,
)
from training.pack import load_pack  # noqa: E402
from training.report import as_table, write_report  # noqa: E402

torch.set_num_threads(1)  # small batches: threads would wait for each other

OFFSET_MS = 40.0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    folder = tmp_path_factory.mktemp("judged")
    return open_cache(load_pack(write_pack(folder / "pack", clips=2)), folder / "cache")


@pytest.fixture
def model(tmp_path: Path) -> Wav2LipInfer:
    path = TinyModel(face_size=96).write(tmp_path / "tiny.onnx")
    path.with_suffix(".json").write_text(json.dumps({"reference": "closed", "mouth_offset_ms": OFFSET_MS}))
    return Wav2LipInfer(path, dtype="fp32")


def test_held_out_people_are_judged_and_shown(cache: Cache, model: Wav2LipInfer, tmp_path: Path) -> None:
    spans = judged([span for span in cache.spans if span.clip.group == "speaker1"], 6)
    scores, takes = evaluate(model, cache, spans)
    assert list(scores) == ["made"]
    assert scores["made"].frames == heard_frames(spans[0], OFFSET_MS) == 22
    assert all(np.isfinite(value) for value in vars(scores["made"]).values())
    assert 0 < scores["made"].shut < 1
    assert scores["made"].typical == pytest.approx(scores["made"].partial)
    assert "| partial |" in as_table(scores)
    assert json.dumps(vars(scores["made"]))
    (sheet,) = write_report(tmp_path, "made", takes)
    assert sheet.stat().st_size > 1000


def test_the_references_are_laid_onto_the_frame_s_head(cache: Cache) -> None:
    span = cache.spans[0]
    own, references = (make(cache, span, 96).astype(int) for make in (face_crops, closed_faces))
    moved = np.abs(own[1:] - own[:1])[:, 20:76, 20:76].mean()
    assert np.abs(own - references)[:, 20:76, 20:76].mean() < 0.6 * moved


def test_windows_beyond_a_clip_s_sound_are_silent(cache: Cache) -> None:
    windows = mel_windows(cache, cache.spans[0], 40, 0.0)
    assert windows.shape == (40, 80, 16)
    assert (windows[30:] == -4).all()
    assert (windows[:20] > -4).any()


def test_without_held_out_people_there_is_nobody_to_judge_on() -> None:
    with pytest.raises(InvalidRequest, match="held_out"):
        judged([], 6)
