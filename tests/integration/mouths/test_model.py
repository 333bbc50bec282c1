"""The model that ships, and what is said of one that is not whole."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import InvalidModel
from app.mouths.model import MouthModel, open_model
from app.settings import DEFAULT_MODEL
from app.wav2lip.infer import Wav2LipInfer
from tests.support.ears import write_ear
from tests.support.models import MODELS, default_model
from tests.support.onnx_models import TinyModel

SHIPPED = MODELS / DEFAULT_MODEL


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the default model with its card, to damage."""
    for name in (SHIPPED.name, SHIPPED.with_suffix(".json").name):
        shutil.copyfile(MODELS / name, tmp_path / name)
    return tmp_path / SHIPPED.name


def test_the_default_model_is_described_by_its_card() -> None:
    info = default_model().info
    card = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert (info.engine, info.device, info.face_size, info.reference) == ("openvino", "cpu", 96, "nearest")
    assert (info.name, info.sha256) == (card["name"], card["sha256"])
    assert default_model().warm_up() > 0


def test_a_model_whose_card_is_not_of_the_nearest_kind_has_wav2lips_interface(tmp_path: Path) -> None:
    model = open_model(TinyModel().write(tmp_path / "tiny.onnx"), device="cpu")
    assert isinstance(model, Wav2LipInfer)


def test_a_damaged_model_is_refused(copied: Path) -> None:
    assert isinstance(open_model(copied, device="cpu"), MouthModel)
    copied.write_bytes(copied.read_bytes()[:-1000])
    with pytest.raises(InvalidModel, match="is not the file that the card"):
        open_model(copied, device="cpu")


def test_an_ear_that_has_lost_its_card_is_not_taken_for_a_wav2lip_model(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    with pytest.raises(InvalidModel, match="expected"):
        open_model(copied, device="cpu")


def test_a_model_of_two_files_from_the_version_before_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """It was a painter, and its card named the file with which it heard."""
    painter = TinyModel().write(tmp_path / "mouthpiece.onnx")
    write_ear(tmp_path / "mouthpiece-listen.onnx")
    card = {"reference": "nearest", "listen": "mouthpiece-listen.onnx", "listen_sha256": "0" * 64}
    painter.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(
        InvalidModel, match=r"is not a model that listens.*two files.*replace it and its card"
    ):
        open_model(painter, device="cpu")


def test_the_default_model_runs_without_torch_being_imported() -> None:
    program = (
        "import sys; from pathlib import Path; from app.mouths.model import open_model; "
        f"open_model(Path({str(SHIPPED)!r}), device='cpu').warm_up(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
