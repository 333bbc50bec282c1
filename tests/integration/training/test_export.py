import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from app.errors import ModelNotFound  # noqa: E402
from app.mouths.painter import open_painter  # noqa: E402
from app.wav2lip.card import listen_path, load_card  # noqa: E402
from app.wav2lip.choice import EngineRequest  # noqa: E402
from tests.support.packs import write_pack  # noqa: E402
from training.export import Exported, export_paint  # noqa: E402
from training.painting import judge_painter, lay, paintable, write_paint_sheet  # noqa: E402
from training.settings import load_settings  # noqa: E402
from training.workbench import Workbench  # noqa: E402

torch.set_num_threads(1)  # small batches: threads would wait for each other

RECIPE = """
samples: 4
batch: 2
held_out: {groups: [speaker1]}
paint: {shade_batches: 2, shade_batch: 4, licence: mine alone}
"""
EAR = b"an ear"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_pack(folder / "pack", clips=2)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "ear.onnx").write_bytes(EAR)
    bench = Workbench(folder / "pack", folder / "runs", "cpu")
    run, source, _ = bench.run("face", folder / "recipe.yaml")
    run.train(source, None)
    return folder


def export(
    folder: Path, name: str, *, runs: str = "runs", ear: str = "ear.onnx", half: bool = False
) -> Exported:
    return export_paint(
        folder / runs,
        folder / name,
        folder / "pack",
        recipe=folder / "recipe.yaml",
        listen=folder / ear,
        half=half,
    )


@pytest.fixture(scope="module")
def exported(folder: Path) -> Exported:
    return export(folder, "made.onnx")


@pytest.mark.slow
def test_the_exported_model_is_what_was_trained_on_every_engine(folder: Path, exported: Exported) -> None:
    assert set(exported.differences) == {"openvino", "onnxruntime"}
    assert max(exported.differences.values()) < 2e-3
    assert [path.name for path in folder.glob("*part*")] == []


@pytest.mark.slow
def test_the_card_says_what_the_model_was_made_of(folder: Path, exported: Exported) -> None:
    card = load_card(exported.path)
    assert (card.reference, card.face_size, card.licence) == ("nearest", 96, "mine alone")
    assert (card.sha256, card.commercial_use) == (exported.sha256, False)
    assert listen_path(exported.path, card) == folder / "ear.onnx"
    assert card.listen_sha256 == hashlib.sha256(EAR).hexdigest()
    entries = json.loads(exported.path.with_suffix(".json").read_text())
    recipe = hashlib.sha256(RECIPE.encode()).hexdigest()
    made = entries["made"]
    assert (made["recipe"], made["recipe_sha256"], made["steps"]) == ("recipe.yaml", recipe, 2)
    assert made["parents"] == []
    assert "commit" in made
    assert entries["data"] == {"made": {"clips": 2, "frames": 48, "people": 2, "licences": ["public domain"]}}


@pytest.mark.slow
def test_weights_may_be_stored_in_half_the_bytes_and_in_a_new_folder(
    folder: Path, exported: Exported
) -> None:
    half = export(folder, "small/half.onnx", half=True)
    assert max(half.differences.values()) < 1e-2
    assert half.path.stat().st_size < 0.6 * exported.path.stat().st_size


def test_a_model_is_not_exported_before_its_stage_is_trained(folder: Path) -> None:
    with pytest.raises(ModelNotFound, match="'face' first"):
        export(folder, "none.onnx", runs="other")


@pytest.mark.slow
def test_a_model_is_not_exported_without_its_ear(folder: Path) -> None:
    with pytest.raises(ModelNotFound, match="no ear at"):
        export(folder, "deaf.onnx", ear="none.onnx")
    assert not (folder / "deaf.onnx").exists()


@pytest.mark.slow
def test_held_out_people_are_painted_judged_and_shown(
    folder: Path, exported: Exported, tmp_path: Path
) -> None:
    bench = Workbench(folder / "pack", folder / "runs", "cpu")
    spans = paintable(bench.cache.spans, 1)
    painter = open_painter(exported.path, EngineRequest(device="cpu", dtype="fp32"))
    settings = load_settings(folder / "recipe.yaml", "face")
    scores, takes = judge_painter(painter, bench.cache, spans, settings)
    assert list(scores) == ["made-near", "made-rest"]
    assert all(score.frames == 48 for score in scores.values())
    assert all(np.isfinite(value) for score in scores.values() for value in vars(score).values())
    write_paint_sheet(tmp_path / "sheet.png", takes["made-near"])
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    (first, *_) = takes["made-near"]
    shapes = np.zeros((len(first.truth), 16), np.float32)
    strokes = painter.paint(shapes, first.truth, first.references)
    laid = lay(strokes, first.truth, first.references)
    assert np.array_equal(laid[:, :40], first.truth[:, :40])
    assert not np.array_equal(laid[:, 48:], first.truth[:, 48:])
