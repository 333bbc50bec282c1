"""Wav2LipInfer: a loaded model, whatever its format and engine."""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.errors import InvalidModel
from app.media.digests import known_sha256
from app.wav2lip.arrays import FaceBatch, FaceCrops, FaceOutput, MelBatch, MelWindows, stacked
from app.wav2lip.card import ModelCard, Reference, load_card
from app.wav2lip.choice import EngineRequest, open_engine
from app.wav2lip.engine import MEL_SHAPE, DType, Engine, PixelEngine, TensorEngine
from app.wav2lip.model_file import check_model_file

_SILENCE: Final = -4.0
"""The mel value of digital silence."""


@dataclass(frozen=True)
class ModelInfo:
    """What is loaded, and how it runs."""

    name: str
    sha256: str
    licence: str
    commercial_use: bool
    source: str | None
    engine: str
    device: str
    dtype: DType
    """The precision in which it computes, which may differ from the one that was asked for."""
    face_size: int
    mouth_offset_ms: float
    reference: Reference


class Wav2LipInfer:
    """A Wav2Lip model, ready to be called from one thread at a time."""

    card: ModelCard
    info: ModelInfo
    face_size: int
    """Side S of the square faces, pixels."""
    batch_size: int
    """Frames a call at which the model runs fastest; any number is accepted."""

    def __init__(
        self,
        model_path: str | Path,
        dtype: DType | None = None,
        device: str | None = None,
        *,
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the model at ``model_path``, a ``.pth`` checkpoint or an ``.onnx`` file.

        ``dtype`` None takes the fastest precision that looks the same as fp32; one that the device lacks is
        replaced by the nearest that it has, and ``info`` tells. ``device`` is ``cpu``, ``cuda`` or
        ``cuda:N``; None or ``auto`` takes CUDA where it works, else the CPU. ``threads`` bounds the CPU cores
        used. ``cache_dir`` keeps what was converted or built for this machine and cannot stand beside the
        model. Raises ModelNotFound, InvalidModel and EngineUnavailable.
        """
        path = Path(model_path)
        check_model_file(path)
        self.card = load_card(path)
        request = EngineRequest(dtype, device or "auto", self.card.face_size, threads, cache_dir)
        self._path, self._request = path, request
        self._engine: Engine = open_engine(path, replace(request, lower_rows=True))
        self.face_size = self._engine.face_size
        if self.card.face_size not in (None, self.face_size):
            raise InvalidModel(
                f"The card of {path} says that its faces are {self.card.face_size} pixels wide, but the "
                f"model takes {self.face_size}: correct the card."
            )
        self.batch_size = self._engine.batch_size
        engine = self._engine
        self.info = describe(path, self.card, engine.name, engine.device, engine.dtype, engine.face_size)

    def __call__(self, mel_batch: Any, face_batch: Any) -> Any:
        """Return the faces (B, 3, S, S) that say ``mel_batch`` (B, 1, 80, 16), values 0..1, BGR.

        ``face_batch`` is (B, 6, S, S), 0..1: the masked face, then the reference. Both are numpy arrays, or
        both torch tensors; the result is of the same kind, float32, on the same device.
        Raises ValueError if a shape is wrong. The first call with a checkpoint loads it again: rendering
        computes less of the faces.
        """
        engine = self._whole_engine
        if isinstance(face_batch, np.ndarray):
            mel, face = np.asarray(mel_batch, np.float32), face_batch.astype(np.float32, copy=False)
            return self._infer(engine, mel, face)
        if isinstance(engine, TensorEngine):
            self._check(mel_batch.shape, face_batch.shape)
            return engine.infer_tensors(mel_batch, face_batch).to(face_batch.device)
        mel, face = (batch.detach().cpu().float().numpy() for batch in (mel_batch, face_batch))
        return face_batch.float().new_tensor(self._infer(engine, mel, face))

    def render(self, windows: MelWindows, crops: FaceCrops, references: FaceCrops | None = None) -> FaceCrops:
        """Return ``crops``, one a window, with mouths that say ``windows``: rows S // 2.. are the model's.

        ``references`` are the faces that the model may look at, the crops themselves by default. The lower
        half of ``crops`` is hidden from the model. Values are rounded to the nearest, not truncated.
        """
        rendered = crops.copy()
        if len(crops):
            looked_at = crops if references is None else references
            rendered[:, self.face_size // 2 :] = self._lower_halves(windows, crops, looked_at)
        return rendered

    def _lower_halves(self, windows: MelWindows, crops: FaceCrops, references: FaceCrops) -> FaceCrops:
        engine, size = self._engine, self.face_size
        self._check((len(windows), 1, *windows.shape[1:]), (len(crops), 6, *crops.shape[1:3]))
        if isinstance(engine, PixelEngine):
            return engine.infer_pixels(windows, crops, references)
        spoken = engine.infer(windows[:, None], stacked(crops, references))
        return _to_pixels(spoken[:, :, size // 2 - engine.first_row :])

    def warm_up(self) -> float:
        """Run the model once on silence, for what libraries put off to the first run; return the seconds."""
        start = time.perf_counter()
        count, size = self.batch_size, self.face_size
        silence = np.full((count, *MEL_SHAPE[1:]), _SILENCE, np.float32)
        self.render(silence, np.zeros((count, size, size, 3), np.uint8))
        return time.perf_counter() - start

    @cached_property
    def _whole_engine(self) -> Engine:
        if self._engine.first_row == 0:
            return self._engine
        engine = open_engine(self._path, self._request)
        if engine.first_row:
            raise InvalidModel(
                f"{self._path} was exported for rendering and makes only the lower half of each face: "
                "call the checkpoint that it was made of, or export that one whole."
            )
        return engine

    def _infer(self, engine: Engine, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        self._check(mel.shape, face.shape)
        if not len(face):
            return np.empty((0, 3, self.face_size - engine.first_row, self.face_size), np.float32)
        return engine.infer(mel, face)

    def _check(self, mel: tuple[int, ...], face: tuple[int, ...]) -> None:
        size = self.face_size
        if mel != (face[0], *MEL_SHAPE) or face != (face[0], 6, size, size):
            raise ValueError(
                f"expected mel (B, 1, 80, 16) and face (B, 6, {size}, {size}), "
                f"got {tuple(mel)} and {tuple(face)}"
            )


def describe(
    path: Path, card: ModelCard, engine: str, device: str, dtype: DType, face_size: int
) -> ModelInfo:
    """Return what is loaded from ``path`` and runs on an engine."""
    return ModelInfo(
        name=card.name,
        sha256=known_sha256(path),
        licence=card.licence,
        commercial_use=card.commercial_use,
        source=card.source,
        engine=engine,
        device=device,
        dtype=dtype,
        face_size=face_size,
        mouth_offset_ms=card.mouth_offset_ms,
        reference=card.reference,
    )


def _to_pixels(faces: FaceOutput) -> FaceCrops:
    scaled = faces * np.float32(255)
    scaled += np.float32(0.5)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8).transpose(0, 2, 3, 1)
