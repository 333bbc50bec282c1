"""Exports a checkpoint to ONNX, and keeps the file only if it computes the same."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from app.errors import InvalidModel
from app.extras import require_packages
from app.media.digests import known_sha256
from app.media.files import replacing, sweep
from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.card import ModelCard, load_card
from app.wav2lip.engine import DEFAULT_FACE_SIZE, MEL_SHAPE
from app.wav2lip.model_file import check_model_file
from app.wav2lip.openvino_engine import OpenVinoEngine

ExportDType = Literal["fp32", "fp16"]

LARGEST_DIFFERENCE: Final = 1e-4
"""What an fp32 export may differ from the checkpoint, of 0..1: a fortieth of a grey level."""

LEAST_PSNR: Final = 45.0
"""What an fp16 export must reach against the checkpoint, decibels: no difference can be seen from 40 on."""

_CHECKED_FRAMES: Final = 5


@dataclass(frozen=True)
class ExportReport:
    """An export that was kept, and how near it is to its checkpoint on random inputs."""

    path: Path
    dtype: ExportDType
    largest_difference: float
    """Of values 0..1."""
    psnr: float
    """Decibels."""


def export(
    checkpoint: Path, output: Path, dtype: ExportDType = "fp32", *, lower_rows: bool = False
) -> ExportReport:
    """Write ``checkpoint`` as an ONNX model to ``output``, and its card beside it.

    The model takes ``mel_batch`` (B, 1, 80, 16) and ``face_batch`` (B, 6, 96, 96) and gives ``output``
    (B, 3, 96, 96), all float32, for any B; the batch norms are folded, and with ``fp16`` it computes in half
    precision. With ``lower_rows`` it gives and computes rows 48.. only, (B, 3, 48, 96), all that a render
    shows. It is compared with the checkpoint before it takes its name. Raises ModelNotFound and
    InvalidModel (also if the result differs), and EngineUnavailable if a package is missing.
    """
    check_model_file(checkpoint)
    card = load_card(checkpoint)
    require_packages("Exporting a checkpoint", "torch", "onnx", "onnxscript")
    mel, face = _random_inputs()
    sweep(output.parent)
    with replacing(output) as unproven:
        expected = _write(checkpoint, unproven, dtype, lower_rows, mel, face)
        report = _compare(unproven, output, dtype, expected, mel, face)
    _write_card(card, checkpoint, output)
    return report


def _write_card(card: ModelCard, checkpoint: Path, output: Path) -> None:
    """Write what is known of the checkpoint as the card of ``output``, other entries included.

    If both share one name they share the card, which then cannot hold the digest of either.
    """
    source, target = checkpoint.with_suffix(".json"), output.with_suffix(".json")
    entries = asdict(card) | (json.loads(source.read_bytes()) if source.is_file() else {})
    entries["face_size"] = DEFAULT_FACE_SIZE
    entries["sha256"] = None if target == source else known_sha256(output)
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _random_inputs() -> tuple[MelBatch, FaceBatch]:
    rng = np.random.default_rng(0)
    mel = rng.uniform(-4, 4, (_CHECKED_FRAMES, *MEL_SHAPE)).astype(np.float32)
    face = rng.random((_CHECKED_FRAMES, 6, DEFAULT_FACE_SIZE, DEFAULT_FACE_SIZE), np.float32)
    face[:, :3, DEFAULT_FACE_SIZE // 2 :] = 0
    return mel, face


def _write(
    checkpoint: Path, output: Path, dtype: ExportDType, lower_rows: bool, mel: MelBatch, face: FaceBatch
) -> FaceOutput:
    """Write the checkpoint to ``output``; return what its network makes of the inputs in fp32."""
    import torch

    from app.wav2lip.checkpoint import load_network
    from app.wav2lip.lower_rows import LowerRows
    from app.wav2lip.onnx_writer import write_onnx

    network = load_network(checkpoint)
    with torch.no_grad():
        faces: FaceOutput = network(torch.from_numpy(mel), torch.from_numpy(face)).numpy()
    network.fold_norms()
    write_onnx(LowerRows(network) if lower_rows else network, output, half=dtype == "fp16")
    return faces


def _compare(
    path: Path, output: Path, dtype: ExportDType, expected: FaceOutput, mel: MelBatch, face: FaceBatch
) -> ExportReport:
    engine = OpenVinoEngine(path, "fp32")
    difference = engine.infer(mel, face) - expected[:, :, engine.first_row :]
    largest = float(np.abs(difference).max())
    psnr = float(-10 * np.log10(max(np.square(difference).mean(), 1e-12)))
    is_near = largest <= LARGEST_DIFFERENCE if dtype == "fp32" else psnr >= LEAST_PSNR
    if not is_near:
        raise InvalidModel(
            f"The {dtype} export to {output} was not kept: it differs from its checkpoint by {largest:.2g} "
            f"of 1 (PSNR {psnr:.1f} dB), where fp32 may differ by {LARGEST_DIFFERENCE:g} and fp16 must reach "
            f"{LEAST_PSNR:g} dB; try the other precision."
        )
    return ExportReport(output, dtype, largest, psnr)
