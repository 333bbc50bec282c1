from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from app.errors import EngineUnavailable, InvalidModel
from app.wav2lip import onnxruntime_session
from app.wav2lip.arrays import FaceBatch, MelBatch
from app.wav2lip.engine import Engine
from app.wav2lip.onnxruntime_engine import OnnxRuntimeEngine
from app.wav2lip.onnxruntime_session import provider_options
from app.wav2lip.openvino_engine import OpenVinoEngine
from app.wav2lip.openvino_streams import nearest_dtype
from tests.support.onnx_models import TinyModel, write_classifier


def open_onnxruntime(path: Path, face_size: int | None = None) -> Engine:
    return OnnxRuntimeEngine(path, "fp32", device="cpu", face_size=face_size)


def open_openvino(path: Path, face_size: int | None = None) -> Engine:
    return OpenVinoEngine(path, "fp32", face_size=face_size)


OPENERS = [open_openvino, open_onnxruntime]
Opener = Callable[..., Engine]


def inputs(frames: int, size: int) -> tuple[MelBatch, FaceBatch]:
    rng = np.random.default_rng(3)
    mel = rng.uniform(-4, 4, (frames, 1, 80, 16)).astype(np.float32)
    return mel, rng.random((frames, 6, size, size), np.float32)


@pytest.mark.parametrize("open_engine", OPENERS)
@pytest.mark.parametrize(
    "model",
    [
        TinyModel(),
        TinyModel(face_first=True),
        TinyModel(frames=1),
        TinyModel(frames=3),
        TinyModel(face_size=48),
    ],
)
@pytest.mark.parametrize("frames", [1, 7])
def test_any_form_of_the_interface_is_understood(
    open_engine: Opener, model: TinyModel, frames: int, tmp_path: Path
) -> None:
    engine = open_engine(model.write(tmp_path / "tiny.onnx"))
    assert engine.face_size == model.face_size
    mel, face = inputs(frames, engine.face_size)
    np.testing.assert_allclose(engine.infer(mel, face), model.expected(mel, face), atol=1e-5)


@pytest.mark.parametrize("open_engine", OPENERS)
def test_a_model_with_half_precision_ends_is_fed_and_read_as_float32(
    open_engine: Opener, tmp_path: Path
) -> None:
    model = TinyModel(half_ends=True)
    engine = open_engine(model.write(tmp_path / "tiny.onnx"))
    mel, face = inputs(5, 32)
    output = engine.infer(mel, face)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, model.expected(mel, face), atol=5e-3)


@pytest.mark.parametrize("open_engine", OPENERS)
def test_a_model_for_faces_of_any_size_takes_the_size_that_it_is_told(
    open_engine: Opener, tmp_path: Path
) -> None:
    model = TinyModel(face_size=None)
    path = model.write(tmp_path / "tiny.onnx")
    assert open_engine(path).face_size == 96
    engine = open_engine(path, face_size=64)
    assert engine.face_size == 64
    mel, face = inputs(2, 64)
    np.testing.assert_allclose(engine.infer(mel, face), model.expected(mel, face), atol=1e-5)


@pytest.mark.parametrize("open_engine", OPENERS)
def test_a_text_and_a_truncated_model_are_refused(open_engine: Opener, tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "model.onnx")
    for content in (b"not a model", path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=r"cannot be read as an ONNX model: it is truncated, or"):
            open_engine(path)


@pytest.mark.parametrize("open_engine", OPENERS)
def test_a_model_of_another_kind_is_refused_by_its_interface(open_engine: Opener, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"found inputs \(\?, 3, 224, 224\) and outputs \(\?, 3, 1, 1\)"):
        open_engine(write_classifier(tmp_path / "classifier.onnx"))


def test_a_model_that_breaks_its_own_promise_of_an_open_batch_is_refused(tmp_path: Path) -> None:
    path = TinyModel(only_one_frame=True).write(tmp_path / "tiny.onnx")
    with pytest.raises(
        InvalidModel, match=r"cannot be compiled for the inputs \[\[4, 1, 80, 16\], \[4, 6, 32"
    ):
        OpenVinoEngine(path)


def test_tensorrt_comes_before_cuda_and_keeps_what_it_has_built(tmp_path: Path) -> None:
    options = provider_options(1, None, tmp_path)
    assert list(options) == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    tensorrt = options["TensorrtExecutionProvider"]
    assert (tensorrt["device_id"], tensorrt["trt_fp16_enable"], tensorrt["trt_bf16_enable"]) == (
        1,
        True,
        False,
    )
    assert tensorrt["trt_engine_cache_path"] == str(tmp_path)
    exact = provider_options(0, "fp32", None)
    assert not exact["TensorrtExecutionProvider"]["trt_fp16_enable"]
    assert not exact["CUDAExecutionProvider"]["use_tf32"]


@pytest.mark.parametrize("present", [True, False])
def test_tensorrt_is_asked_for_only_where_its_library_is(
    present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = [*provider_options(0, None, None)]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime_session, "has_tensorrt", lambda: present)

    def refuse(path: Path, providers: list[tuple[str, object]], threads: int) -> None:
        raise InvalidModel(" ".join(name for name, _ in providers))

    monkeypatch.setattr(onnxruntime_session, "_open_session", refuse)
    with pytest.raises(InvalidModel) as refused:
        OnnxRuntimeEngine(TinyModel().write(tmp_path / "tiny.onnx"), device="cuda")
    assert refused.value.detail.split() == offered[0 if present else 1 :]


def test_threads_bound_the_cores_that_are_used(tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "tiny.onnx")
    assert OpenVinoEngine(path, threads=1).batch_size == 4


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_cuda_without_its_provider_names_the_command_that_mends_it(tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "tiny.onnx")
    with pytest.raises(EngineUnavailable, match=r"cannot use cuda:1: .*-m pip install .*onnxruntime-gpu"):
        OnnxRuntimeEngine(path, device="cuda:1")


def test_precision_is_the_wanted_one_or_the_nearest_that_the_cpu_has() -> None:
    old, new, arm = ["FP32", "INT8"], ["FP32", "BF16", "FP16"], ["FP32", "FP16"]
    assert [nearest_dtype(None, cpu) for cpu in (old, new, arm)] == ["fp32", "bf16", "fp16"]
    assert [nearest_dtype("bf16", cpu) for cpu in (old, new, arm)] == ["fp32", "bf16", "fp16"]
    assert [nearest_dtype("fp16", cpu) for cpu in (old, new, arm)] == ["fp32", "fp16", "fp16"]
    assert [nearest_dtype("fp32", cpu) for cpu in (old, new, arm)] == ["fp32"] * 3
