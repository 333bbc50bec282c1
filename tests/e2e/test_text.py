"""A render of a text: a real service, and a real text-to-speech server beside it."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.support.renders import decode_pictures, decode_samples
from tests.support.server import Server
from tests.support.speaking import say

TEXT = "Good morning. It's a pleasure to have you here; we'll begin in a minute."


def test_the_avatar_says_the_text(talking: Server, tmp_path: Path) -> None:
    assert talking.client.get("/v1/info").json()["text_to_speech"] is True
    form = {"text": TEXT, "voice": "nova", "quality": "draft"}
    answer = talking.client.post("/v1/avatars/anna/renders", data=form)  # urlencoded: there is no file in it
    assert answer.status_code == 200, answer.text
    path = tmp_path / "said.mp4"
    path.write_bytes(answer.content)
    with wave.open(io.BytesIO(say(TEXT, "en-us"))) as spoken:
        rate, said = spoken.getframerate(), np.frombuffer(spoken.readframes(1 << 30), np.int16)
    assert sum(1 for _ in decode_pictures(path)) == round(len(said) / rate * 25)
    assert loud(decode_samples(path)[0], rate) == pytest.approx(loud(said / 32768, rate), abs=0.05)


def loud(sound: "np.typing.NDArray[np.float64]", rate: int) -> list[float]:
    """Return how loud each of the first 20 tenths of a second is."""
    step = rate // 10
    return [float(np.abs(sound[start : start + step]).mean()) for start in range(0, 20 * step, step)]
