from pathlib import Path

import pytest

from app import bench as bench_module
from app.bench import bench
from app.settings import Settings
from tests.support.clips import speech, talking_head
from tests.support.models import MODELS
from tests.support.onnx_models import TinyModel


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(bench_module, "_MATRIX", {"cpu": 64})


def test_the_ear_registration_and_renders_are_measured(tmp_path: Path) -> None:
    video = talking_head(tmp_path / "head.mp4", seconds=0.4)
    words = speech(tmp_path / "words.wav", 0.4, 16000, 1)
    settings = Settings(models_dir=MODELS, data_dir=tmp_path / "data", device="cpu")
    lines = list(bench(settings, video, words))
    assert all(line.value > 0 for line in lines)
    assert (lines[0].unit, lines[0].part.split()[0]) == ("frames/s", "ear")
    parts = [line.part for line in lines[1:]]
    assert parts[0].startswith("registration, 320x240")
    assert set(parts[1:]) == {"render, 320x240, 25 fps"}
    assert not list(tmp_path.glob("data/*"))


def test_a_model_with_wav2lips_interface_is_measured_without_an_ear(tmp_path: Path) -> None:
    model = TinyModel().write(tmp_path / "tiny.onnx")
    settings = Settings(model=model, data_dir=tmp_path / "data", device="cpu")
    lines = list(bench(settings, None, None))
    assert [line.unit for line in lines] == ["frames/s", "frames/s", "frames/s", "GFLOP/s", "dB"]
    assert lines[-1].value >= 45


def test_without_media_only_the_model_is_measured(tmp_path: Path) -> None:
    settings = Settings(models_dir=MODELS, data_dir=tmp_path, device="cpu")
    assert [line.part.split()[0] for line in bench(settings, None, None)] == ["ear"]
