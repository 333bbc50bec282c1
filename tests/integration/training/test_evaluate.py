import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from app.errors import InvalidRequest, ModelNotFound  # noqa: E402
from app.wav2lip.infer import Wav2LipInfer  # noqa: E402
from tests.support.packs import write_pack  # noqa: E402
from training.evaluate import (  # noqa: E402
    as_table,
    closed_faces,
    evaluate,
    face_crops,
    heard_frames,
    judged,
    mel_windows,
)
from training.export import Exported, export_mouthpiece  # noqa: E402
from training.report import write_report  # noqa: E402
from training.workbench import Workbench  # noqa: E402

torch.set_num_threads(1)  # small batches: threads would wait for each other

OFFSET_MS = 40.0
RECIPE = f"samples: 4\nbatch: 2\nmouth_offset_ms: {OFFSET_MS}\nheld_out: {{groups: [speaker1]}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_pack(folder / "pack", clips=2)
    (folder / "recipe.yaml").write_text(RECIPE)
    bench = Workbench(folder / "pack", folder / "runs", "cpu")
    for stage in ("speech", "face"):
        run, source, _ = bench.run(stage, folder / "recipe.yaml")
        run.train(source, None)
    return folder


@pytest.fixture(scope="module")
def exported(folder: Path) -> Exported:
    return export_mouthpiece(
        folder / "runs", folder / "made.onnx", folder / "pack", recipe=folder / "recipe.yaml"
    )


@pytest.mark.slow
def test_the_exported_model_is_what_was_trained_on_every_engine(folder: Path, exported: Exported) -> None:
    assert set(exported.differences) == {"openvino", "onnxruntime"}
    assert max(exported.differences.values()) < 2e-3
    assert [path.name for path in folder.glob("*part*")] == []


@pytest.mark.slow
def test_the_service_loads_the_model_by_its_card(exported: Exported) -> None:
    model = Wav2LipInfer(exported.path, dtype="fp32")
    assert (model.info.reference, model.face_size) == ("closed", 192)
    assert model.info.mouth_offset_ms == OFFSET_MS
    assert model.info.sha256 == exported.sha256
    assert not model.info.commercial_use
    assert "public domain" in str(model.info.source)


@pytest.mark.slow
def test_weights_may_be_stored_in_half_the_bytes_and_in_a_new_folder(
    folder: Path, exported: Exported
) -> None:
    output = folder / "small" / "half.onnx"
    half = export_mouthpiece(
        folder / "runs", output, folder / "pack", recipe=folder / "recipe.yaml", half=True
    )
    assert max(half.differences.values()) < 1e-2
    assert half.path.stat().st_size < 0.6 * exported.path.stat().st_size


def test_a_size_that_the_network_cannot_take_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="96, 192, 288"):
        export_mouthpiece(
            folder / "runs",
            tmp_path / "odd.onnx",
            folder / "pack",
            recipe=folder / "recipe.yaml",
            face_size=128,
        )


@pytest.mark.slow
def test_held_out_people_are_judged_and_shown(folder: Path, exported: Exported, tmp_path: Path) -> None:
    bench = Workbench(folder / "pack", folder / "runs", "cpu")
    spans = judged([span for span in bench.cache.spans if span.clip.group == "speaker1"], 6)
    scores, takes = evaluate(Wav2LipInfer(exported.path, dtype="fp32"), bench.cache, spans)
    assert list(scores) == ["made"]
    assert scores["made"].frames == heard_frames(spans[0], OFFSET_MS) == 22
    assert all(np.isfinite(value) for value in vars(scores["made"]).values())
    assert 0 < scores["made"].shut < 1
    assert scores["made"].typical == pytest.approx(scores["made"].partial)
    assert "| partial |" in as_table(scores)
    assert json.dumps(vars(scores["made"]))
    (sheet,) = write_report(tmp_path, "made", takes)
    assert sheet.stat().st_size > 1000


def test_the_references_are_laid_onto_the_frame_s_head(folder: Path) -> None:
    cache = Workbench(folder / "pack", folder / "runs", "cpu").cache
    span = cache.spans[0]
    own, references = (make(cache, span, 96).astype(int) for make in (face_crops, closed_faces))
    moved = np.abs(own[1:] - own[:1])[:, 20:76, 20:76].mean()
    assert np.abs(own - references)[:, 20:76, 20:76].mean() < 0.6 * moved


def test_windows_beyond_a_clip_s_sound_are_silent(folder: Path) -> None:
    cache = Workbench(folder / "pack", folder / "runs", "cpu").cache
    windows = mel_windows(cache, cache.spans[0], 40, 0.0)
    assert windows.shape == (40, 80, 16)
    assert (windows[30:] == -4).all()
    assert (windows[:20] > -4).any()


def test_without_held_out_people_there_is_nobody_to_judge_on() -> None:
    with pytest.raises(InvalidRequest, match="held_out"):
        judged([], 6)


def test_a_model_is_not_exported_before_both_stages_are_trained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="'speech' first"):
        export_mouthpiece(
            tmp_path / "runs", tmp_path / "made.onnx", folder / "pack", recipe=folder / "recipe.yaml"
        )
