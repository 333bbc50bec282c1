from pathlib import Path

import pytest

from app import extras
from app.errors import EngineUnavailable, InvalidModel, ModelNotFound
from app.wav2lip import choice
from app.wav2lip.infer import Wav2LipInfer
from tests.support.onnx_models import TinyModel


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return TinyModel().write(tmp_path / "tiny.onnx")


@pytest.mark.parametrize("device", ["cpu", "auto", None])
def test_onnx_runs_on_openvino_where_there_is_no_gpu(
    tiny: Path, device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "has_cuda_driver", lambda: False)
    info = Wav2LipInfer(tiny, device=device).info
    assert (info.engine, info.device, info.face_size) == ("openvino", "cpu", 32)


def test_a_driver_without_a_device_leaves_the_cpu_and_that_is_said(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_device(*_: object) -> None:
        raise EngineUnavailable("There is no device.")

    monkeypatch.setattr(choice, "has_cuda_driver", lambda: True)
    monkeypatch.setattr(choice, "_open_on_cuda", no_device)
    assert Wav2LipInfer(tiny).info.engine == "openvino"
    assert "runs on the CPU though there is a driver for a GPU. There is no device." in caplog.text
    with pytest.raises(EngineUnavailable, match="no device"):
        Wav2LipInfer(tiny, device="cuda")


def test_a_checkpoint_on_a_cpu_runs_converted_on_openvino(
    checkpoint: Path, converted_checkpoint: Path
) -> None:
    before = converted_checkpoint.stat().st_mtime_ns
    infer = Wav2LipInfer(checkpoint, device="cpu")
    assert (infer.info.engine, infer.info.device, infer.info.face_size) == ("openvino", "cpu", 96)
    assert (infer.info.name, infer.info.licence, infer.info.mouth_offset_ms) == ("random", "unknown", 40.0)
    assert converted_checkpoint.stat().st_mtime_ns == before


def test_cuda_without_a_device_names_what_to_look_at(checkpoint: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        with pytest.raises(EngineUnavailable, match=r"There is no cuda:99: torch finds \d+ CUDA devices"):
            Wav2LipInfer(checkpoint, device="cuda:99")
    else:
        with pytest.raises(EngineUnavailable, match=r"finds no CUDA device.*`nvidia-smi`.*-m pip install"):
            Wav2LipInfer(checkpoint, device="cuda")


@pytest.mark.parametrize(("name", "package"), [("model.pth", "torch"), ("model.onnx", "onnxruntime")])
def test_cuda_without_its_package_names_the_command_that_installs_it(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(EngineUnavailable, match=rf"needs {package}, .*-m pip install {package}"):
        Wav2LipInfer(tmp_path / name, device="cuda:0")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU"])
def test_an_unknown_device_is_refused(tiny: Path, device: str) -> None:
    with pytest.raises(EngineUnavailable, match="must be auto, cpu, cuda or cuda:N"):
        Wav2LipInfer(tiny, device=device)


def test_a_file_of_another_suffix_and_a_missing_one_are_refused(tiny: Path) -> None:
    other = tiny.rename(tiny.with_suffix(".engine"))
    with pytest.raises(InvalidModel, match=r"neither a \.pth checkpoint nor an \.onnx model"):
        Wav2LipInfer(other)
    with pytest.raises(ModelNotFound):
        Wav2LipInfer(tiny)
