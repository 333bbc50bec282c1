"""A checkpoint in the official layout, in the service on a CPU: converted in the sandbox, then used."""

from pathlib import Path

import pytest

from tests.support import clips
from tests.support.checkpoints import random_checkpoint
from tests.support.server import running
from tests.support.videos import decode

SPEECH = Path(__file__).parents[2] / "demo/speech.wav"


@pytest.mark.slow
def test_a_checkpoint_is_converted_at_the_first_start_and_renders(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    model = random_checkpoint(tmp_path / "wav2lip.pth")
    video = clips.talking_head(tmp_path / "anna.mp4", 1.0)
    words = clips.beginning(SPEECH, tmp_path / "words.wav", 1.0)
    (tmp_path / "service").mkdir()
    with running(tmp_path / "service", MOUTHPIECE_MODEL=str(model), MOUTHPIECE_DEVICE="cpu") as server:
        server.client.timeout = 120
        with video.open("rb") as file:
            answer = server.client.post("/v1/avatars", data={"id": "anna"}, files={"video": file})
        assert answer.status_code == 201, answer.text
        with words.open("rb") as file:
            answer = server.client.post("/v1/avatars/anna/renders", files={"audio": file})
        assert answer.status_code == 200, answer.text
    result = tmp_path / "result.mp4"
    result.write_bytes(answer.content)
    assert len(decode(result).frames) == 25
