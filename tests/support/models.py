"""The models that tests render with: the one that ships, and a tiny one with Wav2Lip's interface."""

from functools import cache
from pathlib import Path

from app.avatars.crops import CropForm
from app.mouths.model import LipModel, MouthModel, open_model
from app.settings import DEFAULT_MODEL
from app.wav2lip.infer import Wav2LipInfer
from tests.support.onnx_models import TinyModel

MODELS = Path(__file__).parents[2] / "models"


@cache
def default_model() -> MouthModel:
    """Return the default model on the CPU."""
    model = open_model(MODELS / DEFAULT_MODEL, device="cpu")
    assert isinstance(model, MouthModel)
    return model


def tiny_model(folder: Path) -> Wav2LipInfer:
    """Return a tiny model with Wav2Lip's interface: the face, brighter by the mean of what is heard."""
    return Wav2LipInfer(TinyModel(face_size=96).write(folder / "tiny.onnx"), device="cpu")


def form_of(model: LipModel) -> CropForm:
    """Return what a model wants to be shown."""
    return CropForm(model.face_size, model.info.reference)
