"""The trial that decides whether NVENC is used, run on the encoder that is here, and on what breaks."""

import pytest

from app.errors import EngineUnavailable
from app.media import nvenc
from app.media.quality import EncoderSettings, Quality, encoder_settings


@pytest.mark.parametrize("quality", ["draft", "standard", "high"])
def test_an_encoder_that_works_passes(quality: Quality) -> None:
    assert nvenc.encodes(encoder_settings(quality, 1))


def test_an_encoder_that_makes_other_pictures_fails() -> None:
    assert not nvenc.encodes(EncoderSettings("ultrafast", 51, 1))


def test_an_encoder_that_cannot_be_opened_fails() -> None:
    assert not nvenc.encodes(EncoderSettings("no-such-preset", 20, 1))


def test_beside_a_model_on_the_cpu_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "encodes", lambda _: pytest.fail("tried"))
    assert nvenc.choose_encoder("auto", "cpu") == "libx264"
    assert nvenc.choose_encoder("x264", "cuda:0") == "libx264"


def test_the_trial_decides_beside_a_model_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "encodes", lambda _: True)
    assert nvenc.choose_encoder("auto", "cuda:0") == "h264_nvenc"
    monkeypatch.setattr(nvenc, "encodes", lambda _: False)
    assert nvenc.choose_encoder("auto", "cuda:0") == "libx264"
    with pytest.raises(EngineUnavailable, match="NVIDIA_DRIVER_CAPABILITIES"):
        nvenc.choose_encoder("nvenc", "cuda:0")
