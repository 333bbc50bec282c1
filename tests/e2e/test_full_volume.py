"""A volume that runs full while a render is under way."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.server import running
from tests.support.volumes import volume

pytestmark = pytest.mark.slow


def test_a_render_on_a_volume_that_runs_full_fails_at_once_and_the_next_one_works(
    tmp_path: Path, video: Path, speech: Callable[[float], Path]
) -> None:
    with volume(tmp_path / "data", 256), running(tmp_path) as server:
        assert server.client.post(
            "/v1/avatars", data={"id": "anna"}, files={"video": video.read_bytes()}
        ).is_success
        renders, answers = "/v1/avatars/anna/renders", list[httpx.Response]()

        def ask() -> None:
            answers.append(server.client.post(renders, files={"audio": speech(60).read_bytes()}))

        asking = threading.Thread(target=ask)
        asking.start()
        server.wait(lambda: list(server.data_dir.glob("jobs/*/segments/*.m4s")))
        filler = server.data_dir / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        asking.join()

        assert answers[0].status_code == 507, answers[0].text
        assert answers[0].json()["type"] == "urn:mouthpiece:problem:storage-full"
        server.wait(lambda: not list(server.data_dir.glob("jobs/*/*")))
        assert server.client.post(renders, files={"audio": speech(0.5).read_bytes()}).status_code == 507
        filler.unlink()
        assert server.client.post(renders, files={"audio": speech(0.5).read_bytes()}).is_success
