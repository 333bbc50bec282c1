"""From checkpoints to a model file: joined, written as ONNX, checked on every engine, described on a card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from app.errors import InvalidModel
from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.model_file import file_sha256
from app.wav2lip.onnx_writer import write_onnx
from training.calibration import measure_articulation
from training.checkpoints import load_checkpoint, load_weights
from training.networks.mouthpiece import FACE_SIZE, FIRST_ROW, Mouthpiece, ShapeToFace, SpeechToShape
from training.pack import Pack, load_pack
from training.settings import StageName
from training.workbench import Workbench

LARGEST_DIFFERENCE: Final = {False: 2e-3, True: 3e-2}
"""What an engine may differ from torch, of 0..1, in fp32 and fp16. Warping makes it more than usual: a flow
that differs in its last digits moves an edge."""
MOUTH_OFFSET_MS: Final = 12.5
"""Taught with sound and picture at once, it opens the mouths of people it never heard a third of a frame too
soon, by where the correlation peaks over 79 clips kept out of a training; one mel column later is nearest."""
_CHECKED_FRAMES: Final = 5


@dataclass(frozen=True)
class Exported:
    """A model file that was kept."""

    path: Path
    sha256: str
    differences: dict[str, float]
    """Engine to the largest difference from torch."""


def export_mouthpiece(
    runs: Path, output: Path, pack: Path, *, recipe: Path, half: bool = False, scores: Path | None = None
) -> Exported:
    """Write the model that the stages ``speech`` and ``face`` in ``runs`` make, and its card.

    The file takes its name only if OpenVINO and ONNX Runtime compute what torch computes. Raises
    ModelNotFound if a stage was not trained, InvalidModel if a checkpoint does not fit or an engine differs.
    """
    bench = Workbench(pack, runs, "cpu")
    model = join(bench, recipe)
    unproven = output.with_name(f".{output.name}.part.onnx")
    mel, face = _inputs(bench)
    with torch.no_grad():
        expected: FaceOutput = model(torch.from_numpy(mel), torch.from_numpy(face)).numpy()
    try:
        write_onnx(model, unproven, half=half)
        differences = _compare(unproven, mel, face, expected)
        _check(differences, LARGEST_DIFFERENCE[half], output)
        unproven.replace(output)
    finally:
        unproven.unlink(missing_ok=True)
    digest = file_sha256(output)
    card = {"name": output.stem, "description": _description(model), **_card(digest, load_pack(pack), scores)}
    output.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return Exported(output, digest, differences)


def join(bench: Workbench, recipe: Path) -> Mouthpiece:
    """Return the whole model from the averaged weights of its two stages, in evaluation mode."""
    speech, face = SpeechToShape(), ShapeToFace()
    pairs: tuple[tuple[StageName, Any], ...] = (("speech", speech), ("face", face))
    for stage, module in pairs:
        path = bench.checkpoint(stage)
        load_weights(module, load_checkpoint(path, stage)["average"], path)
    articulation = measure_articulation(speech.eval(), bench.speech(recipe))
    model = Mouthpiece(speech, face, articulation)
    model.eval()
    return model


def _inputs(bench: Workbench) -> tuple[MelBatch, FaceBatch]:
    """Return real faces and random sounds: a random picture would make every warp a jump."""
    rng = np.random.default_rng(0)
    mel = rng.uniform(-4, 4, (_CHECKED_FRAMES, 1, 80, 16)).astype(np.float32)
    rows = rng.integers(0, len(bench.cache.frames), _CHECKED_FRAMES)
    crops = np.stack([bench.cache.frames[row][15:111, 15:111] for row in rows])
    pictures = crops.transpose(0, 3, 1, 2).astype(np.float32) / 255
    hidden = pictures.copy()
    hidden[:, :, FACE_SIZE // 2 :] = 0
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


def _description(model: Mouthpiece) -> str:
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return (
        f"Speech to mouth shape to picture, {millions:.2f} M parameters, {FACE_SIZE}x{FACE_SIZE}; rows 0 to "
        f"{FIRST_ROW - 1} are copied from the input. It paints on references with a closed mouth."
    )


def _card(digest: str, pack: Pack, scores: Path | None) -> dict[str, Any]:
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
        "mouth_offset_ms": MOUTH_OFFSET_MS,
        "face_size": FACE_SIZE,
        "reference": "closed",
        "measured": json.loads(scores.read_text()) if scores else None,
    }
