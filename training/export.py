"""From the checkpoint of the stage ``face`` to a model file: written, checked on every engine, described."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx
import torch

from app.errors import InvalidModel, ModelNotFound
from app.media.files import replacing
from app.mouths.onnxruntime_painter import OnnxRuntimePainter
from app.mouths.openvino_painter import OpenVinoPainter
from app.mouths.painter import FACE_SIZE, SHAPE_DIMS, Painter, PaintShapes, Strokes
from app.wav2lip.arrays import FaceCrops, stacked
from app.wav2lip.model_file import file_sha256
from app.wav2lip.onnx_writer import write_graph
from training.calibration import measure_shades
from training.card import paint_card
from training.checkpoints import load_checkpoint, load_weights
from training.half_weights import halve_weights
from training.networks.face import ShapeToFace
from training.networks.paint import Paint
from training.settings import load_settings
from training.shapes import measure_shapes, opening_weights
from training.workbench import Workbench

LARGEST_DIFFERENCE: Final = {False: 2e-3, True: 3e-2}
"""What an engine may differ from torch, of 0..1 in ``shown`` and ``added``, of a face's side in ``flow``;
with weights in fp32 and fp16."""
_CHECKED_FRAMES: Final = 5
_SIDE: Final = slice(15, 111)
"""Rows and columns of a pack's crop that are shown to the engines: about the face."""


@dataclass(frozen=True)
class Exported:
    """A model file that was kept."""

    path: Path
    sha256: str
    differences: dict[str, float]
    """Engine to the largest difference from torch."""


def export_paint(
    runs: Path,
    output: Path,
    pack: Path,
    *,
    recipe: Path,
    listen: Path,
    half: bool = False,
    scores: Path | None = None,
) -> Exported:
    """Write the painter that the stage ``face`` in ``runs`` makes, and its card.

    ``listen`` is the ear that stands beside it. With ``half`` the weights are stored in fp16; engines compute
    with them in fp32, or in what they are told. The file takes its name only if OpenVINO and ONNX Runtime
    compute what torch computes. Raises ModelNotFound if the stage was not trained or there is no ear,
    InvalidModel if a checkpoint does not fit or an engine differs.
    """
    if not listen.is_file():
        raise ModelNotFound(f"There is no ear at {listen}: make it with 'python -m training listen' first.")
    bench = Workbench(pack, runs, "cpu")
    model = make_paint(bench, recipe)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as unproven:
        shapes = {"shape": (SHAPE_DIMS,), "face": (6, FACE_SIZE, FACE_SIZE)}
        write_graph(model, unproven, inputs=shapes, outputs=["flow", "shown", "added"])
        written = onnx.load(unproven)
        if half:
            halve_weights(written)
        onnx.save(written, unproven)
        differences = _differences(unproven, model, bench)
        _check(differences, LARGEST_DIFFERENCE[half], output)
    checkpoint = load_checkpoint(bench.checkpoint("face"), "face")
    card = paint_card(output, listen, pack, recipe=recipe, checkpoint=checkpoint, scores=scores)
    output.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return Exported(output, file_sha256(output), differences)


def make_paint(bench: Workbench, recipe: Path) -> Paint:
    """Return what a model file holds, made of the averaged weights of ``face``, in evaluation mode."""
    face, path = ShapeToFace(), bench.checkpoint("face")
    load_weights(face, load_checkpoint(path, "face")["average"], path)
    settings = load_settings(recipe, "face")
    resting = replace(settings, near_references=0.0, rest_references=1.0)
    source = bench.source(resting)
    opening = torch.from_numpy(opening_weights(measure_shapes(bench.cache)))
    shades = measure_shades(face.eval(), source, opening, settings.paint)
    paint = Paint(face, shades)
    paint.eval()
    return paint


def _differences(path: Path, model: Paint, bench: Workbench) -> dict[str, float]:
    """Return the largest difference of each engine, with real faces: a random picture makes warps jumps."""
    rng = np.random.default_rng(0)
    crops, references = (_faces(bench, rng) for _ in range(2))
    shapes = rng.normal(0, 1, (_CHECKED_FRAMES, SHAPE_DIMS)).astype(np.float32)
    with torch.no_grad():
        made = model(torch.from_numpy(shapes), torch.from_numpy(stacked(crops, references)))
    wanted = Strokes(*(part.numpy() for part in made))
    engines: dict[str, Callable[[], Painter]] = {
        "openvino": lambda: OpenVinoPainter(path, "fp32"),
        "onnxruntime": lambda: OnnxRuntimePainter(path, device="cpu"),
    }
    return {name: _difference(open_(), wanted, shapes, crops, references) for name, open_ in engines.items()}


def _difference(
    painter: Painter, wanted: Strokes, shapes: PaintShapes, crops: FaceCrops, references: FaceCrops
) -> float:
    made = painter.paint(shapes, crops, references)
    flow = float(np.abs(made.flow - wanted.flow).max()) / FACE_SIZE
    pairs = ((made.shown, wanted.shown), (made.added, wanted.added))
    return max(flow, *(float(np.abs(one - other).max()) for one, other in pairs))


def _faces(bench: Workbench, rng: np.random.Generator) -> FaceCrops:
    rows = rng.integers(0, len(bench.cache.frames), _CHECKED_FRAMES)
    size = (FACE_SIZE, FACE_SIZE)
    return np.stack([cv2.resize(bench.cache.frames[row][_SIDE, _SIDE], size) for row in rows])


def _check(differences: dict[str, float], allowed: float, output: Path) -> None:
    for engine, difference in differences.items():
        if not difference <= allowed:  # nan is refused too
            raise InvalidModel(
                f"{output} was not written: on {engine} it differs from its checkpoint by {difference:.2g} "
                f"of 1, where {allowed:g} is allowed; try the other precision."
            )
