"""The painter: what a mouth of a stated shape is made of, where the footage has no such mouth to lend.

A network decides at 96 pixels how a reference is to be warped, where it stays, and what is painted. Warping
and painting themselves are done by whoever has the footage's own pixels, so that skin, lips and teeth stay as
sharp as they were filmed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from app.errors import InvalidModel
from app.wav2lip.arrays import FaceCrops, FloatArray
from app.wav2lip.choice import EngineRequest, open_by_device
from app.wav2lip.devices import require_packages
from app.wav2lip.engine import LoadedModel, Shape, listed

PaintShapes = npt.NDArray[np.float32]
"""float32 (n, 16): by how much the wanted shape differs from the reference's own, then the reference's own,
both as in :mod:`app.mouths.space`."""

FACE_SIZE: Final = 96
FIRST_ROW: Final = 40
"""Of the face: strokes cover it from this row on."""
SHAPE_DIMS: Final = 16

_ROWS: Final = FACE_SIZE - FIRST_ROW
OUTPUTS: Final = ((2, _ROWS, FACE_SIZE), (1, _ROWS, FACE_SIZE), (3, _ROWS, FACE_SIZE))
"""Shapes of flow, shown and added, for one frame."""


@dataclass(frozen=True)
class Strokes:
    """What to do to rows 40..95 of references of 96 pixels: ``warp(reference, flow) * shown + added``."""

    flow: FloatArray
    """float32 (n, 2, 56, 96): where in the reference each pixel comes from, as an x, y offset in pixels."""
    shown: FloatArray
    """float32 (n, 1, 56, 96), 0..1: how much of the warped reference shows."""
    added: FloatArray
    """float32 (n, 3, 56, 96): what is added to it, BGR of 0..1; below 0 where it darkens."""


class Painter(LoadedModel, Protocol):
    """Runs a paint model."""

    def paint(self, shapes: PaintShapes, crops: FaceCrops, references: FaceCrops) -> Strokes:
        """Return the strokes for any number of frames from 1.

        ``crops`` (n, 96, 96, 3) are the heads to keep, of which only the upper half is looked at;
        ``references`` (n, 96, 96, 3) the faces with the mouths to move, laid onto those heads.
        """


@dataclass(frozen=True)
class PaintBinding:
    """Which input and output of a model is which, found by shape."""

    shape: int
    face: int
    outputs: tuple[int, int, int]
    """Indices of flow, shown and added."""
    frames: int | None = None
    """Frames in a batch; None if the model takes any number."""

    def shapes(self, frames: int) -> dict[int, list[int]]:
        """Return the shape of each input, by its index, for batches of ``frames``."""
        return {self.shape: [frames, SHAPE_DIMS], self.face: [frames, 6, FACE_SIZE, FACE_SIZE]}

    def strokes(self, made: Sequence[FloatArray]) -> Strokes:
        """Return the strokes that lie in a model's outputs."""
        return Strokes(*(made[index] for index in self.outputs))


def bind_painter(inputs: Sequence[Shape], outputs: Sequence[Shape], path: Path) -> PaintBinding:
    """Tell the inputs and outputs of the model at ``path`` apart; raises InvalidModel if it is no painter."""
    taken = [_index(inputs, shape) for shape in ((SHAPE_DIMS,), (6, FACE_SIZE, FACE_SIZE))]
    made = [_index(outputs, shape) for shape in OUTPUTS]
    frames = {shape[0] for shape in inputs if shape and shape[0] is not None}
    if None in taken or None in made or (len(inputs), len(outputs)) != (2, 3) or len(frames) > 1:
        raise InvalidModel(
            f"{path} is no paint model: expected inputs (B, {SHAPE_DIMS}) and (B, 6, {FACE_SIZE}, "
            f"{FACE_SIZE}) and outputs {listed([(None, *shape) for shape in OUTPUTS])}, found inputs "
            f"{listed(inputs)} and outputs {listed(outputs)}; it was perhaps exported by another version."
        )
    shape, face = (index for index in taken if index is not None)
    flow, shown, added = (index for index in made if index is not None)
    return PaintBinding(shape, face, (flow, shown, added), min(frames, default=None))


def open_painter(path: Path, request: EngineRequest) -> Painter:
    """Load the paint model at ``path`` for the device that ``request`` names.

    Raises InvalidModel if the file is none, EngineUnavailable if a package or a device is missing.
    """
    return open_by_device(
        request, lambda chosen: _open_on_cpu(path, chosen), lambda chosen: _open_on_cuda(path, chosen)
    )


def _open_on_cpu(path: Path, request: EngineRequest) -> Painter:
    from app.mouths.openvino_painter import OpenVinoPainter

    return OpenVinoPainter(path, request.dtype, threads=request.threads)


def _open_on_cuda(path: Path, request: EngineRequest) -> Painter:
    require_packages(f"Painting on {request.device}", "onnxruntime")
    from app.mouths.onnxruntime_painter import OnnxRuntimePainter

    return OnnxRuntimePainter(path, request.dtype, device=request.device, cache_dir=request.cache_dir)


def _index(shapes: Sequence[Shape], wanted: tuple[int, ...]) -> int | None:
    """Return which of ``shapes`` is a batch of ``wanted``, if exactly one is."""
    found = [index for index, shape in enumerate(shapes) if tuple(shape[1:]) == wanted]
    return found[0] if len(found) == 1 else None
