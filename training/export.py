"""From checkpoints to a model file: joined, written as ONNX, checked on every engine, described on a card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
import torch

from app.errors import InvalidModel, InvalidRequest
from app.media.files import replacing
from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.model_file import file_sha256
from app.wav2lip.onnx_writer import write_onnx
from training.calibration import measure_articulation, measure_shades
from training.checkpoints import load_checkpoint, load_weights
from training.exported import note_space
from training.networks.mouthpiece import FACE_SIZE, FIRST_ROW, Mouthpiece, ShapeToFace, SpeechToShape
from training.pack import Pack, load_pack
from training.settings import StageName, load_settings
from training.workbench import Workbench

LARGEST_DIFFERENCE: Final = {False: 2e-3, True: 3e-2}
"""What an engine may differ from torch, of 0..1, with weights in fp32 and fp16. Warping makes it more than
usual: a flow that differs in its last digits moves an edge."""
FACE_SIZES: Final = (96, 192, 288)
"""Sides of the faces that an exported model can take: what it was taught at, and multiples of that."""
_CHECKED_FRAMES: Final = 5
_LEAST_HALVED: Final = 1024
"""Numbers from which weights are worth storing in half the bytes."""


@dataclass(frozen=True)
class Exported:
    """A model file that was kept."""

    path: Path
    sha256: str
    differences: dict[str, float]
    """Engine to the largest difference from torch."""


def export_mouthpiece(
    runs: Path,
    output: Path,
    pack: Path,
    *,
    recipe: Path,
    face_size: int = 192,
    half: bool = False,
    scores: Path | None = None,
) -> Exported:
    """Write the model that the stages ``speech`` and ``face`` in ``runs`` make, and its card.

    It takes faces of ``face_size`` pixels. With ``half`` the weights are stored in fp16; engines compute with
    them in fp32, or in what they are told. The file takes its name only if OpenVINO and ONNX Runtime compute
    what torch computes. Raises InvalidRequest for a size that is not one of :data:`FACE_SIZES`, ModelNotFound
    if a stage was not trained, InvalidModel if a checkpoint does not fit or an engine differs.
    """
    if face_size not in FACE_SIZES:
        raise InvalidRequest(f"The face size is one of {', '.join(map(str, FACE_SIZES))}, not {face_size}.")
    bench = Workbench(pack, runs, "cpu")
    model = join(bench, recipe)
    output.parent.mkdir(parents=True, exist_ok=True)
    mel, face = _inputs(bench, face_size)
    with torch.no_grad():
        expected: FaceOutput = model(torch.from_numpy(mel), torch.from_numpy(face)).numpy()
    with replacing(output) as unproven:
        write_onnx(model, unproven, face_size=face_size)
        written = onnx.load(unproven)
        note_space(written, bench.space("face"))
        if half:
            _halve_weights(written)
        onnx.save(written, unproven)
        differences = _compare(unproven, mel, face, expected)
        _check(differences, LARGEST_DIFFERENCE[half], output)
    digest = file_sha256(output)
    card = {
        "name": output.stem,
        "description": _description(model, face_size),
        **_card(digest, face_size, load_pack(pack), scores),
        "mouth_offset_ms": load_settings(recipe, "speech").mouth_offset_ms,
    }
    output.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return Exported(output, digest, differences)


def join(bench: Workbench, recipe: Path) -> Mouthpiece:
    """Return the whole model from the averaged weights of its two stages, in evaluation mode."""
    speech, face = SpeechToShape(), ShapeToFace()
    pairs: tuple[tuple[StageName, Any], ...] = (("speech", speech), ("face", face))
    for stage, module in pairs:
        path = bench.checkpoint(stage)
        load_weights(module, load_checkpoint(path, stage)["average"], path)
    articulation = measure_articulation(speech.eval(), bench.source("speech", recipe))
    shades = measure_shades(face.eval(), bench.source("face", recipe))
    model = Mouthpiece(speech, face, articulation, shades)
    model.eval()
    return model


def _halve_weights(model: Any) -> None:
    """Store the weights of an ``onnx.ModelProto`` in fp16, behind casts that engines resolve at loading."""
    casts = []
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < _LEAST_HALVED:
            continue
        stored = f"{weights.name}.fp16"
        casts.append(onnx.helper.make_node("Cast", [stored], [weights.name], to=onnx.TensorProto.FLOAT))
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _inputs(bench: Workbench, face_size: int) -> tuple[MelBatch, FaceBatch]:
    """Return real faces and random sounds: a random picture would make every warp a jump."""
    rng = np.random.default_rng(0)
    mel = rng.uniform(-4, 4, (_CHECKED_FRAMES, 1, 80, 16)).astype(np.float32)
    rows = rng.integers(0, len(bench.cache.frames), _CHECKED_FRAMES)
    size = (face_size, face_size)
    crops = np.stack([cv2.resize(bench.cache.frames[row][15:111, 15:111], size) for row in rows])
    pictures = crops.transpose(0, 3, 1, 2).astype(np.float32) / 255
    hidden = pictures.copy()
    hidden[:, :, face_size // 2 :] = 0
    return mel, np.concatenate([hidden, pictures], axis=1)


def _compare(path: Path, mel: MelBatch, face: FaceBatch, expected: FaceOutput) -> dict[str, float]:
    import onnxruntime

    from app.wav2lip.openvino_engine import OpenVinoEngine

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    faces = {
        "openvino": OpenVinoEngine(path, "fp32").infer(mel, face),
        "onnxruntime": session.run(None, {"mel_batch": mel, "face_batch": face})[0],
    }
    return {engine: float(np.abs(made - expected).max()) for engine, made in faces.items()}


def _check(differences: dict[str, float], allowed: float, output: Path) -> None:
    for engine, difference in differences.items():
        if difference > allowed:
            raise InvalidModel(
                f"{output} was not written: on {engine} it differs from its checkpoints by {difference:.2g} "
                f"of 1, where {allowed:g} is allowed; try the other precision."
            )


def _description(model: Mouthpiece, face_size: int) -> str:
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return (
        f"Speech to mouth shape to picture, {millions:.2f} M parameters, {face_size}x{face_size}: decided at "
        f"{FACE_SIZE}x{FACE_SIZE}, painted on the reference, which has a closed mouth, at its own size; rows "
        f"0 to {face_size * FIRST_ROW // FACE_SIZE - 1} are copied from the input."
    )


def _card(digest: str, face_size: int, pack: Pack, scores: Path | None) -> dict[str, Any]:
    """Return the card; a model may be used commercially only if every clip's licence says so: none does."""
    sources: dict[str, set[str]] = {}
    for clip in pack.clips:
        sources.setdefault(clip.set, set()).add(clip.licence)
    return {
        "licence": "evaluation and research only",
        "commercial_use": False,
        "source": "trained by this project on "
        + "; ".join(f"{group} ({', '.join(sorted(rights))})" for group, rights in sorted(sources.items())),
        "sha256": digest,
        "face_size": face_size,
        "reference": "closed",
        "measured": json.loads(scores.read_text()) if scores else None,
    }
