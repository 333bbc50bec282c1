import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app import extras
from app.errors import EngineUnavailable, InvalidModel, ModelNotFound
from app.media.digests import known_sha256
from app.wav2lip import export as export_module
from app.wav2lip.arrays import FaceOutput
from app.wav2lip.card import load_card
from app.wav2lip.conversion import converted
from app.wav2lip.export import export
from tests.support.onnx_models import TinyModel

OPEN_BATCH_SHAPES = {
    "mel_batch": ["batch", 1, 80, 16],
    "face_batch": ["batch", 6, 96, 96],
    "output": ["batch", 3, 96, 96],
}


def write_another_model(checkpoint: Path, output: Path, *_: object) -> FaceOutput:
    """Write a model that makes something else than is returned."""
    TinyModel(face_size=96).write(output)
    return np.full((5, 3, 96, 96), 0.5, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["converted_checkpoint", "half_export"])
def test_an_export_has_float32_ends_with_their_usual_names_and_an_open_batch(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    model = onnx.load(request.getfixturevalue(fixture))
    ends = [*model.graph.input, *model.graph.output]
    shapes = {
        end.name: [axis.dim_param or axis.dim_value for axis in end.type.tensor_type.shape.dim]
        for end in ends
    }
    assert {name: shape[1:] for name, shape in shapes.items()} == {
        name: shape[1:] for name, shape in OPEN_BATCH_SHAPES.items()
    }
    assert len({shape[0] for shape in shapes.values()}) == 1
    assert isinstance(shapes["output"][0], str)
    assert {end.type.tensor_type.elem_type for end in ends} == {onnx.TensorProto.FLOAT}
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_an_fp16_export_takes_half_the_room(converted_checkpoint: Path, half_export: Path) -> None:
    assert half_export.stat().st_size < 0.51 * converted_checkpoint.stat().st_size


def test_the_card_of_an_export_names_its_file(half_export: Path) -> None:
    card = json.loads(half_export.with_suffix(".json").read_text())
    assert card["sha256"] == known_sha256(half_export)
    assert card["face_size"] == 96
    assert (card["name"], card["licence"], card["mouth_offset_ms"]) == ("random", "unknown", 40.0)


def test_an_export_beside_its_checkpoint_shares_its_card_so_that_both_can_be_loaded(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "_write", write_another_model)
    monkeypatch.setattr(export_module, "LARGEST_DIFFERENCE", 1.0)
    mine = tmp_path / "mine.pth"
    mine.symlink_to(checkpoint)
    entries = {"licence": "MIT", "sha256": known_sha256(checkpoint), "description": "Sie heißt so."}
    mine.with_suffix(".json").write_text(json.dumps(entries))
    export(mine, tmp_path / "mine.onnx")
    for path in (mine, tmp_path / "mine.onnx"):
        assert load_card(path).licence == "MIT"
    assert json.loads((tmp_path / "mine.json").read_bytes())["description"] == "Sie heißt so."


def test_a_converted_checkpoint_is_found_again(checkpoint: Path, converted_checkpoint: Path) -> None:
    before = converted_checkpoint.stat().st_mtime_ns
    assert converted(checkpoint) == converted_checkpoint
    assert converted_checkpoint.stat().st_mtime_ns == before
    assert converted_checkpoint.name == f"random.{known_sha256(checkpoint)[:8]}.onnx"
    assert converted_checkpoint.parent == checkpoint.parent


def test_an_export_that_differs_from_its_checkpoint_is_not_kept(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "_write", write_another_model)
    left_by_a_killed_export = tmp_path / ".wrong.1234.part.onnx"
    left_by_a_killed_export.touch()
    with pytest.raises(InvalidModel, match=r"was not kept: it differs from its checkpoint by 0\.\d+ of 1"):
        export(checkpoint, tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_gives_way_to_the_cache(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so a folder that is none stands for one that is read-only."""
    model = tmp_path / "model.pth"
    model.write_bytes(b"weights")
    kept: list[Path] = []

    def refuse_beside_the_checkpoint(_: Path, output: Path, **__: Any) -> Any:
        if output.parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(output))
        kept.append(output)
        return export_module.ExportReport(output, "fp32", 0.0, 120.0)

    monkeypatch.setattr("app.wav2lip.conversion.export", refuse_beside_the_checkpoint)
    assert converted(model, tmp_path / "cache").parent == tmp_path / "cache"
    with pytest.raises(EngineUnavailable, match=r"cannot be stored \(.*Permission denied.*make .* writable"):
        converted(model)
    assert len(kept) == 1


def test_without_torch_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    model = tmp_path / "model.pth"
    model.write_bytes(b"weights")
    with pytest.raises(EngineUnavailable, match="-m pip install torch onnx onnxscript`"):
        export(model, tmp_path / "model.onnx")


def test_a_missing_and_a_damaged_checkpoint_are_not_exported(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ModelNotFound):
        export(tmp_path / "none.pth", tmp_path / "none.onnx")
    damaged = tmp_path / "damaged.pth"
    damaged.write_text("not the weights")
    with pytest.raises(InvalidModel, match="not a PyTorch checkpoint"):
        export(damaged, tmp_path / "damaged.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.pth"]
