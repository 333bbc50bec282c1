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
from training.export import Exported, export_mouthpiece  # noqa: E402
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


def test_a_model_is_not_exported_before_both_stages_are_trained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="'speech' first"):
        export_mouthpiece(
            tmp_path / "runs", tmp_path / "made.onnx", folder / "pack", recipe=folder / "recipe.yaml"
        )
