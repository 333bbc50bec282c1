"""The project's own model: an ear that hears what a mouth does. The mouths themselves are the footage's."""

import time
from pathlib import Path
from typing import Final

from app.errors import EngineUnavailable
from app.mouths.ear import Ear
from app.wav2lip.card import ModelCard, load_card
from app.wav2lip.choice import EngineRequest
from app.wav2lip.devices import check_device, cuda_devices, usable_cores
from app.wav2lip.engine import DType
from app.wav2lip.infer import ModelInfo, Wav2LipInfer, describe
from app.wav2lip.model_file import check_model_file


class MouthModel:
    """An ear, loaded. It hears on the CPU, whatever the device: it takes half a millisecond a frame."""

    ear: Ear
    info: ModelInfo
    face_size: Final = 96
    """Side in pixels of the crops from which a face's box is cut; this model looks at none."""
    batch_size: Final = 8
    """Frames that are made together."""

    def __init__(self, path: Path, card: ModelCard, request: EngineRequest) -> None:
        """Load the ear at ``path``.

        Raises InvalidModel if it is none, EngineUnavailable for a device that is not there.
        """
        _check_present(request.device)
        self.ear = Ear(path, request.threads or usable_cores())
        self.info = describe(path, card, "openvino", "cpu", "fp32", self.face_size)

    def warm_up(self) -> float:
        """Hear nothing once, for what libraries put off to the first run; return the seconds."""
        start = time.perf_counter()
        self.ear.warm_up()
        return time.perf_counter() - start


LipModel = MouthModel | Wav2LipInfer
"""Whatever makes mouths speak."""


def open_model(
    path: Path,
    dtype: DType | None = None,
    device: str | None = None,
    *,
    threads: int | None = None,
    cache_dir: Path | None = None,
) -> LipModel:
    """Load the model at ``path``: the project's own, or one with Wav2Lip's interface, as its card says.

    The parameters are those of :class:`Wav2LipInfer`. Raises ModelNotFound, InvalidModel, EngineUnavailable.
    """
    check_model_file(path)
    card = load_card(path)
    if card.reference != "nearest":
        return Wav2LipInfer(path, dtype, device, threads=threads, cache_dir=cache_dir)
    return MouthModel(path, card, EngineRequest(dtype, device or "auto", None, threads, cache_dir))


def _check_present(device: str) -> None:
    check_device(device)
    if device.startswith("cuda") and not cuda_devices():
        raise EngineUnavailable(
            f"The device {device} was requested, but no CUDA device was found: use auto or cpu."
        )
