from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.errors import EngineUnavailable, InvalidModel
from app.mouths.onnxruntime_painter import OnnxRuntimePainter
from app.mouths.openvino_painter import OpenVinoPainter
from app.mouths.painter import Painter, open_painter
from app.wav2lip.arrays import FaceCrops
from app.wav2lip.choice import EngineRequest
from tests.support.onnx_models import write_classifier, write_painter

RNG = np.random.default_rng(3)


def faces(count: int) -> FaceCrops:
    return RNG.integers(0, 256, (count, 96, 96, 3), np.uint8)


def painters(path: Path) -> list[Painter]:
    return [OpenVinoPainter(path, "fp32", threads=2), OnnxRuntimePainter(path, device="cpu")]


@pytest.mark.parametrize("count", [1, 4, 11])
def test_strokes_are_told_apart_by_shape_for_any_number_of_frames(count: int, tmp_path: Path) -> None:
    shapes, references = RNG.normal(0, 1, (count, 16)).astype(np.float32), faces(count)
    gray = references[:, 40:].mean(axis=3) / 255
    for painter in painters(write_painter(tmp_path / "paint.onnx")):
        strokes = painter.paint(shapes, faces(count), references)
        assert (strokes.flow.shape, strokes.shown.shape) == ((count, 2, 56, 96), (count, 1, 56, 96))
        assert strokes.flow == pytest.approx(
            np.broadcast_to(shapes[:, :1, None, None], strokes.flow.shape), abs=1e-4
        )
        assert strokes.shown == pytest.approx(1 / (1 + np.exp(-strokes.flow[:, :1])), abs=1e-4)
        ratio = strokes.added.mean(axis=(0, 2, 3)) / gray.mean()
        assert strokes.added == pytest.approx(ratio[:, None, None] * gray[:, None], abs=1e-3)
        assert len({round(float(weight), 3) for weight in ratio}) == 3


def test_the_lower_half_of_the_head_to_keep_is_not_looked_at(tmp_path: Path) -> None:
    path = write_painter(tmp_path / "paint.onnx")
    shapes, crops, references = np.zeros((2, 16), np.float32), faces(2), faces(2)
    other = crops.copy()
    other[:, 48:] = 0
    for painter in painters(path):
        first, second = (painter.paint(shapes, heads, references) for heads in (crops, other))
        assert np.array_equal(first.added, second.added)


def test_every_engine_says_what_runs(tmp_path: Path) -> None:
    openvino, onnxruntime = painters(write_painter(tmp_path / "paint.onnx"))
    assert (openvino.name, openvino.device, openvino.dtype) == ("openvino", "cpu", "fp32")
    assert (onnxruntime.name, onnxruntime.device, onnxruntime.dtype) == ("onnxruntime", "cpu", "fp32")
    assert (openvino.batch_size, onnxruntime.batch_size) == (8, 4)


def test_a_model_that_fixes_its_batch_is_given_batches_of_that_size(tmp_path: Path) -> None:
    path = write_painter(tmp_path / "paint.onnx", frames=3)
    shapes = np.linspace(0, 1, 7 * 16, dtype=np.float32).reshape(7, 16)
    for painter in painters(path):
        assert painter.batch_size % 3 == 0
        flow = painter.paint(shapes, faces(7), faces(7)).flow
        assert flow[:, 0, 0, 0] == pytest.approx(shapes[:, 0], abs=1e-4)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (write_classifier, r"is no paint model: .* found inputs \(\?, 3, 224, 224\)"),
        (lambda path: write_painter(path, shape_dims=9), r"found inputs \(\?, 9\), \(\?, 6, 96, 96\)"),
    ],
)
def test_a_model_with_another_interface_is_refused(
    write: Callable[[Path], Path], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModel, match=sentence):
        open_painter(write(tmp_path / "other.onnx"), EngineRequest(device="cpu"))


def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paint.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidModel, match="cannot be read as an ONNX model"):
        open_painter(path, EngineRequest(device="cpu"))


def test_a_device_without_a_name_is_refused(tmp_path: Path) -> None:
    path = write_painter(tmp_path / "paint.onnx")
    with pytest.raises(EngineUnavailable, match="must be auto, cpu, cuda"):
        open_painter(path, EngineRequest(device="tpu"))


def test_on_a_cpu_openvino_paints(tmp_path: Path) -> None:
    path = write_painter(tmp_path / "paint.onnx")
    assert open_painter(path, EngineRequest(device="cpu")).name == "openvino"
