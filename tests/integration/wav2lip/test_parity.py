"""Every engine against torch in fp32, on the official network with random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from app.bench import random_inputs
from app.wav2lip.arrays import FaceOutput
from app.wav2lip.engine import Engine
from app.wav2lip.infer import Wav2LipInfer
from app.wav2lip.onnxruntime_engine import OnnxRuntimeEngine
from app.wav2lip.openvino_engine import OpenVinoEngine
from tests.support.network_vector import PATH, sample, vector_inputs

torch = pytest.importorskip("torch")

FRAMES = 5
Opener = Callable[..., Engine]


def torch_engine(path: Path, dtype: Any, device: str = "cpu") -> Engine:
    from app.wav2lip.torch_engine import TorchEngine

    return TorchEngine(path, dtype, device=device)


def onnxruntime_on_cpu(path: Path, dtype: Any) -> Engine:
    return OnnxRuntimeEngine(path, dtype, device="cpu")


@pytest.fixture(scope="module")
def expected(checkpoint: Path) -> FaceOutput:
    from app.wav2lip.checkpoint import load_network

    with torch.no_grad():
        faces: FaceOutput = load_network(checkpoint)(*map(torch.from_numpy, vector_inputs(FRAMES))).numpy()
    return faces


def psnr(faces: FaceOutput, expected: FaceOutput) -> float:
    return float(-10 * np.log10(np.square(faces - expected).mean()))


def test_fp32_on_torch_is_within_a_ten_thousandth(checkpoint: Path, expected: FaceOutput) -> None:
    faces = torch_engine(checkpoint, "fp32").infer(*vector_inputs(FRAMES))
    np.testing.assert_allclose(faces, expected, atol=1e-4)


@pytest.mark.parametrize("open_engine", [OpenVinoEngine, onnxruntime_on_cpu])
def test_fp32_on_onnx_engines_is_within_a_ten_thousandth(
    open_engine: Opener, converted_checkpoint: Path, expected: FaceOutput
) -> None:
    engine = open_engine(converted_checkpoint, "fp32")
    assert engine.dtype == "fp32"
    np.testing.assert_allclose(engine.infer(*vector_inputs(FRAMES)), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision_on_torch_reaches_45_db(checkpoint: Path, expected: FaceOutput, dtype: str) -> None:
    engine = torch_engine(checkpoint, dtype)
    assert engine.dtype == dtype
    mel, face = vector_inputs(FRAMES)
    assert 45 <= psnr(engine.infer(mel[:1], face[:1]), expected[:1]) < 110


@pytest.mark.parametrize("open_engine", [OpenVinoEngine, onnxruntime_on_cpu])
def test_a_half_precision_export_reaches_45_db(
    open_engine: Opener, half_export: Path, expected: FaceOutput
) -> None:
    faces = open_engine(half_export, "fp32").infer(*vector_inputs(FRAMES))
    assert 45 <= psnr(faces, expected) < 110


@pytest.mark.skipif(
    "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this CPU does not compute in bf16",
)
def test_bf16_on_openvino_reaches_45_db(converted_checkpoint: Path, expected: FaceOutput) -> None:
    engine = OpenVinoEngine(converted_checkpoint, "bf16")
    assert engine.dtype == "bf16"
    assert psnr(engine.infer(*vector_inputs(FRAMES)), expected) >= 45


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(("dtype", "least"), [("fp32", 80), ("fp16", 45), ("bf16", 45)])
def test_cuda_reaches_45_db_in_full_and_part_batches(checkpoint: Path, dtype: str, least: float) -> None:
    engine = torch_engine(checkpoint, dtype, "cuda")
    mel, face = vector_inputs(engine.batch_size + FRAMES)
    expected = torch_engine(checkpoint, "fp32").infer(mel, face)
    assert psnr(engine.infer(mel, face), expected) >= least
    assert psnr(engine.infer(mel[:FRAMES], face[:FRAMES]), expected[:FRAMES]) >= least


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_renders_pixels_as_the_cpu_does_in_full_and_part_batches(checkpoint: Path) -> None:
    infer, exact = (Wav2LipInfer(checkpoint, "fp32", device) for device in ("cuda", "cpu"))
    windows, crops = random_inputs(infer.batch_size + FRAMES, infer.face_size)
    expected = exact.render(windows, crops).astype(int)
    assert np.abs(infer.render(windows, crops) - expected).max() <= 1
    assert np.abs(infer.render(windows[:FRAMES], crops[:FRAMES]) - expected[:FRAMES]).max() <= 1


def test_the_exported_network_gives_the_committed_numbers(converted_checkpoint: Path) -> None:
    faces = OpenVinoEngine(converted_checkpoint, "fp32").infer(*vector_inputs())
    np.testing.assert_allclose(sample(faces), np.load(PATH)["pixels"], atol=1e-4)
