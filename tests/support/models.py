"""The model that tests render with: the one that ships, loaded once."""

from functools import cache
from pathlib import Path

from app.avatars.crops import CropForm
from app.settings import DEFAULT_MODEL
from app.wav2lip.infer import Wav2LipInfer

MODELS = Path(__file__).parents[2] / "models"


@cache
def default_model() -> Wav2LipInfer:
    """Return the default model on the CPU."""
    return Wav2LipInfer(MODELS / DEFAULT_MODEL, device="cpu")


def default_form() -> CropForm:
    """Return what the default model wants to be shown."""
    model = default_model()
    return CropForm(model.face_size, model.info.reference)
