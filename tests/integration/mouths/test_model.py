"""The model that ships, and what is said of one that is not whole."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.errors import InvalidModel
from app.mouths.model import MouthModel, open_model
from app.mouths.onnxruntime_painter import OnnxRuntimePainter
from app.mouths.openvino_painter import OpenVinoPainter
from app.settings import DEFAULT_MODEL
from app.wav2lip.infer import Wav2LipInfer
from tests.support.models import MODELS, default_model
from tests.support.onnx_models import TinyModel

SHIPPED = MODELS / DEFAULT_MODEL


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the default model with its card and its ear, to damage."""
    card = json.loads(SHIPPED.with_suffix(".json").read_text())
    for name in (SHIPPED.name, SHIPPED.with_suffix(".json").name, card["listen"]):
        shutil.copyfile(MODELS / name, tmp_path / name)
    return tmp_path / SHIPPED.name


def ear_of(model: Path) -> Path:
    listen: str = json.loads(model.with_suffix(".json").read_text())["listen"]
    return model.with_name(listen)


def test_the_default_model_is_described_by_its_card() -> None:
    info = default_model().info
    card = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert (info.engine, info.device, info.face_size, info.reference) == ("openvino", "cpu", 96, "nearest")
    assert (info.name, info.sha256, info.listen_sha256) == (
        card["name"],
        card["sha256"],
        card["listen_sha256"],
    )
    assert default_model().warm_up() > 0


def test_a_model_whose_card_is_not_of_the_nearest_kind_has_wav2lips_interface(tmp_path: Path) -> None:
    model = open_model(TinyModel().write(tmp_path / "tiny.onnx"), device="cpu")
    assert isinstance(model, Wav2LipInfer)


def test_a_model_without_its_ear_is_refused_and_the_missing_file_named(copied: Path) -> None:
    assert isinstance(open_model(copied, device="cpu"), MouthModel)
    ear_of(copied).unlink()
    with pytest.raises(InvalidModel, match=r"hears with mouthpiece-listen\.onnx, which is not beside it"):
        open_model(copied, device="cpu")


def test_a_model_with_anothers_ear_or_a_damaged_one_is_refused(copied: Path) -> None:
    ear = ear_of(copied)
    ear.write_bytes(ear.read_bytes()[:-1000])
    with pytest.raises(InvalidModel, match="is not the file that the card"):
        open_model(copied, device="cpu")


def test_a_model_whose_card_names_no_ear_is_refused(copied: Path) -> None:
    card = copied.with_suffix(".json")
    card.write_text(json.dumps({"reference": "nearest"}))
    with pytest.raises(InvalidModel, match='give it as "listen"'):
        open_model(copied, device="cpu")


def test_a_painter_that_has_lost_its_card_is_not_taken_for_a_wav2lip_model(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    with pytest.raises(InvalidModel, match="expected"):
        open_model(copied, device="cpu")


def test_both_engines_paint_the_same() -> None:
    rng = np.random.default_rng(3)
    shapes = rng.normal(0, 1, (5, 16)).astype(np.float32)
    crops = rng.integers(0, 256, (2, 5, 96, 96, 3), np.uint8)
    painters = OpenVinoPainter(SHIPPED, "fp32"), OnnxRuntimePainter(SHIPPED, "fp32", device="cpu")
    one, other = (painter.paint(shapes, *crops) for painter in painters)
    for a, b in zip((one.flow, one.shown, one.added), (other.flow, other.shown, other.added), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)
        assert np.std(a) > 0


def test_the_default_model_runs_without_torch_being_imported() -> None:
    program = (
        "import sys; from pathlib import Path; from app.mouths.model import open_model; "
        f"open_model(Path({str(SHIPPED)!r}), device='cpu').warm_up(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
