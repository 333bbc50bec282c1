"""The interface between models and the libraries that run them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from app.errors import InvalidModel
from app.wav2lip.arrays import FaceBatch, FaceCrops, FaceOutput, MelBatch, MelWindows

DType = Literal["fp32", "fp16", "bf16"]

MEL_SHAPE: Final = (1, 80, 16)
DEFAULT_FACE_SIZE: Final = 96
"""Side of the faces of the official network; taken where neither the model nor its card says another."""

Shape = Sequence[int | None]
"""A tensor's shape; None for an axis of any length."""


class Engine(Protocol):
    """Runs one loaded model. One thread at a time may call it."""

    @property
    def name(self) -> str:
        """The library: ``openvino``, ``torch`` or ``onnxruntime``."""

    @property
    def device(self) -> str:
        """Where the model runs: ``cpu``, ``cuda:0``."""

    @property
    def dtype(self) -> DType:
        """The precision in which it computes, which may differ from the one that was asked for."""

    @property
    def batch_size(self) -> int:
        """Frames a call at which it is at its fastest; multiples of it are as good."""

    @property
    def face_size(self) -> int:
        """Side S of the square faces."""

    @property
    def first_row(self) -> int:
        """The row with which its faces begin: 0, or S // 2 if it computes only what is shown."""

    def infer(self, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        """Return the faces that say ``mel``, from ``first_row`` on; any number of frames from 1."""


@runtime_checkable
class TensorEngine(Engine, Protocol):
    """An engine that also takes torch tensors, wherever they are, and keeps them on its device."""

    def infer_tensors(self, mel: Any, face: Any) -> Any:
        """Return the faces that say ``mel``, a float32 tensor on the engine's device."""


@runtime_checkable
class PixelEngine(Engine, Protocol):
    """An engine that also takes and makes pixels, so that its device does the arithmetic around the model."""

    def infer_pixels(self, windows: MelWindows, crops: FaceCrops, references: FaceCrops) -> FaceCrops:
        """Return the lower halves (n, S - S // 2, S, 3) of ``crops`` that say ``windows``; n from 1."""


@dataclass(frozen=True)
class Binding:
    """Which input of a model is which, found by shape: exports name their tensors as they please."""

    mel: int
    face: int
    face_size: int | None = None
    """Side of the faces; None if the model takes any."""
    frames: int | None = None
    """Frames in a batch; None if the model takes any number."""
    lower_rows: bool = False
    """Whether the model makes the lower half of the faces only."""

    def first_row(self, face_size: int) -> int:
        """Return the row with which the faces begin that the model makes."""
        return face_size // 2 if self.lower_rows else 0

    def shapes(self, frames: int, face_size: int) -> dict[int, list[int]]:
        """Return the shape of each input, by its index, for batches of ``frames``."""
        return {self.mel: [frames, *MEL_SHAPE], self.face: [frames, 6, face_size, face_size]}


def bind(inputs: Sequence[Shape], outputs: Sequence[Shape], path: Path) -> Binding:
    """Tell the inputs of the model at ``path`` apart by their shapes; raises InvalidModel."""
    mels = [i for i, shape in enumerate(inputs) if _fits(shape, (None, *MEL_SHAPE))]
    faces = [i for i, shape in enumerate(inputs) if _fits(shape, (None, 6, None, None))]
    spoken = [i for i, shape in enumerate(outputs) if _fits(shape, (None, 3, None, None))]
    if (len(inputs), len(outputs), len(mels), len(faces), len(spoken)) != (2, 1, 1, 1, 1):
        raise _wrong_interface(inputs, outputs, path)
    sides = {side for side in inputs[faces[0]][2:] if side is not None}
    frames = {shape[0] for shape in inputs if shape[0] is not None}
    if len(sides) > 1 or len(frames) > 1:
        raise _wrong_interface(inputs, outputs, path)
    side = min(sides, default=None)
    lower_rows = side is not None and tuple(outputs[0][2:]) == (side - side // 2, side)
    return Binding(mels[0], faces[0], side, min(frames, default=None), lower_rows)


def filled(batch: npt.NDArray[np.float32], multiple: int) -> npt.NDArray[np.float32]:
    """Return ``batch``, contiguous and writable, with zeros after it to a multiple of frames."""
    missing = -len(batch) % multiple
    if missing:
        return np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.float32)])
    return np.require(batch, np.float32, ["C", "W"])


def _fits(shape: Shape, pattern: Shape) -> bool:
    return len(shape) == len(pattern) and all(
        want is None or have is None or have == want for have, want in zip(shape, pattern, strict=True)
    )


def _wrong_interface(inputs: Sequence[Shape], outputs: Sequence[Shape], path: Path) -> InvalidModel:
    return InvalidModel(
        f"{path} does not have Wav2Lip's interface: expected inputs (B, 1, 80, 16) and (B, 6, S, S) "
        f"and an output (B, 3, S, S), found inputs {listed(inputs)} and outputs {listed(outputs)}."
    )


def listed(shapes: Sequence[Shape]) -> str:
    """Return shapes as they are written in messages."""
    return ", ".join(map(_written, shapes)) or "none"


def _written(shape: Shape) -> str:
    return "(" + ", ".join("?" if length is None else str(length) for length in shape) + ")"
