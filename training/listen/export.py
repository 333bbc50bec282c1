"""Writes the ear as one ONNX file: Whisper's first layers and the heads, checked on OpenVINO."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import openvino
import torch

from app.audio.logmel import BANDS
from app.errors import InvalidModel
from app.media.digests import known_sha256
from app.media.files import replacing
from app.mouths.ear import METADATA
from app.wav2lip.onnx_writer import quiet_exporter
from training.compact import compact
from training.listen.settings import ListenSettings
from training.listen.stage import Taught
from training.networks.ear import Listener
from training.networks.whisper import WhisperEncoder

LARGEST_DIFFERENCE: Final = 0.02
"""Of what is heard, in ranges and deviations, between the file and torch: fp16 rounds the weights."""


@dataclass(frozen=True)
class Exported:
    """The file that was written, and how far it is from torch at most."""

    path: Path
    sha256: str
    difference: float


def export_listen(
    taught: Taught, encoder: WhisperEncoder, settings: ListenSettings, output: Path
) -> Exported:
    """Write the ear to ``output``.

    Raises InvalidModel if the heads were taught with another encoder, or if OpenVINO does not hear what torch
    hears; nothing is written then.
    """
    if taught.encoder != encoder.sha256:
        raise InvalidModel(
            f"The heads were taught with the encoder of sha256 {taught.encoder}, and this one has "
            f"{encoder.sha256}: give theirs, or teach them again."
        )
    listener = Listener(
        encoder,
        taught.heads,
        past=settings.past,
        piece=settings.piece,
        speech_from=settings.speech_from,
        speech_to=settings.speech_to,
    ).eval()
    window = 2 * (settings.past + settings.piece + settings.ahead)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as unproven:
        _write(listener, window, unproven)
        written = onnx.load(unproven)
        compact(written)
        about = {"past": settings.past, "ahead": settings.ahead, "average_range": taught.average_span}
        written.metadata_props.add(key=METADATA, value=json.dumps(about))
        onnx.save(written, unproven)
        difference = _difference(listener, window, unproven)
        if not difference <= LARGEST_DIFFERENCE:  # nan is refused too
            raise InvalidModel(
                f"{output} was not written: in OpenVINO it differs from torch by {difference:.2g}, "
                f"where {LARGEST_DIFFERENCE:g} is allowed."
            )
    return Exported(output, known_sha256(output), difference)


def _write(listener: Listener, window: int, path: Path) -> None:
    with quiet_exporter():
        torch.onnx.export(
            listener,
            (torch.zeros(1, BANDS, window),),
            path,
            input_names=["log_mel"],
            output_names=["heard"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _difference(listener: Listener, window: int, path: Path) -> float:
    """Return the largest difference on sounds whose spectrum changes as that of speech does."""
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 0.15, (4, BANDS, window)).cumsum(axis=1) / 2 + rng.normal(0, 0.3, (4, 1, window))
    mel = np.clip(steps, -0.75, 1.5).astype(np.float32)
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", config)
    with torch.no_grad():
        expected = listener(torch.from_numpy(mel)).numpy()
    made = np.concatenate([model([one[None]])[0] for one in mel])
    return float(np.abs(made - expected).max())
