"""The project's own model: an ear that hears what a mouth does, and a painter for what cannot be lent."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from app.mouths.ear import Ear
from app.mouths.painter import FACE_SIZE, SHAPE_DIMS, Painter, open_painter
from app.wav2lip.card import ModelCard, listen_path, load_card
from app.wav2lip.choice import EngineRequest
from app.wav2lip.devices import usable_cores
from app.wav2lip.engine import DType
from app.wav2lip.infer import ModelInfo, Wav2LipInfer, describe
from app.wav2lip.model_file import check_model_file, file_sha256


class MouthModel:
    """An ear and a painter, loaded."""

    ear: Ear
    painter: Painter
    info: ModelInfo
    face_size: Final = FACE_SIZE

    def __init__(self, path: Path, card: ModelCard, request: EngineRequest) -> None:
        """Load the painter at ``path`` and the ear that its card names.

        Raises InvalidModel if one is no such file, EngineUnavailable if a device is missing.
        """
        ear = listen_path(path, card)
        self.ear = Ear(ear, request.threads or usable_cores())
        self.painter = open_painter(path, request)
        self.info = replace(
            describe(path, card, self.painter.name, self.painter.device, self.painter.dtype, FACE_SIZE),
            listen_sha256=file_sha256(ear),
        )

    @property
    def batch_size(self) -> int:
        """Frames a call at which the painter is at its fastest."""
        return self.painter.batch_size

    def warm_up(self) -> float:
        """Run the painter once, for what libraries put off to the first run; return the seconds."""
        start = time.perf_counter()
        black = np.zeros((self.batch_size, FACE_SIZE, FACE_SIZE, 3), np.uint8)
        self.painter.paint(np.zeros((self.batch_size, SHAPE_DIMS), np.float32), black, black)
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
