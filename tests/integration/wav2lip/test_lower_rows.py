"""What is computed of a face for rendering equals the same rows of the whole face, on every engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.errors import InvalidModel
from app.wav2lip.engine import Engine
from app.wav2lip.infer import Wav2LipInfer
from app.wav2lip.onnxruntime_engine import OnnxRuntimeEngine
from app.wav2lip.openvino_engine import OpenVinoEngine
from tests.support.network_vector import vector_inputs

torch = pytest.importorskip("torch")

FRAMES = 5
Opener = Callable[..., Engine]


def onnxruntime_on_cpu(path: Path, dtype: str) -> Engine:
    return OnnxRuntimeEngine(path, "fp32", device="cpu")


@pytest.mark.parametrize("open_engine", [OpenVinoEngine, onnxruntime_on_cpu])
def test_an_onnx_engine_makes_the_lower_half_of_the_same_faces(
    open_engine: Opener, converted_checkpoint: Path, lower_checkpoint: Path
) -> None:
    inputs = vector_inputs(FRAMES)
    whole, lower = open_engine(converted_checkpoint, "fp32"), open_engine(lower_checkpoint, "fp32")
    assert (whole.first_row, lower.first_row) == (0, 48)
    faces = lower.infer(*inputs)
    assert faces.shape == (FRAMES, 3, 48, 96)
    np.testing.assert_allclose(faces, whole.infer(*inputs)[:, :, 48:], rtol=0, atol=1e-5)


def test_torch_makes_the_lower_half_of_the_same_faces(checkpoint: Path) -> None:
    from app.wav2lip.torch_engine import TorchEngine

    inputs = vector_inputs(FRAMES)
    whole = TorchEngine(checkpoint, "fp32", device="cpu")
    lower = TorchEngine(checkpoint, "fp32", device="cpu", lower_rows=True)
    faces = lower.infer(*inputs)
    assert faces.shape == (FRAMES, 3, 48, 96)
    np.testing.assert_allclose(faces, whole.infer(*inputs)[:, :, 48:], rtol=0, atol=1e-5)


def test_every_row_of_the_lower_half_depends_on_no_row_that_is_left_out(checkpoint: Path) -> None:
    """A mouth made of noise above row 44 of the last feature maps would show a halo that is too small."""
    from app.wav2lip.checkpoint import load_network
    from app.wav2lip.lower_rows import LowerRows

    network = load_network(checkpoint).double()
    inputs = [torch.from_numpy(array).double() for array in vector_inputs(1)]
    with torch.no_grad():
        whole, lower = network(*inputs), LowerRows(network)(*inputs)
    assert (whole[:, :, 48:] - lower).abs().max() < 1e-12


@pytest.mark.usefixtures("converted_checkpoint", "lower_checkpoint")
def test_a_checkpoint_renders_lower_halves_and_is_called_for_whole_faces(checkpoint: Path) -> None:
    infer = Wav2LipInfer(checkpoint, dtype="fp32", device="cpu")
    mel, face = vector_inputs(2)
    crops = np.rint(face[:, 3:].transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    face[:, 3:] = crops.transpose(0, 3, 1, 2) / np.float32(255)
    face[:, :3, :48] = face[:, 3:, :48]
    spoken = infer(mel, face)
    assert spoken.shape == (2, 3, 96, 96)
    rendered = infer.render(mel[:, 0], crops)
    expected = np.rint(spoken * 255).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(rendered[:, :48], crops[:, :48])
    assert np.abs(rendered[:, 48:] - expected[:, 48:]).max() <= 1


def test_an_export_for_rendering_renders_but_refuses_to_be_called(lower_checkpoint: Path) -> None:
    infer = Wav2LipInfer(lower_checkpoint, dtype="fp32", device="cpu")
    mel, face = vector_inputs(1)
    assert infer.render(mel[:, 0], np.zeros((1, 96, 96, 3), np.uint8)).any()
    with pytest.raises(InvalidModel, match="only the lower half of each face"):
        infer(mel, face)
