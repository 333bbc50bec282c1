"""One call, killed in each of its two steps, and many at a time."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import clips
from tests.support.server import Server, running
from tests.support.videos import decode

Speech = Callable[[float], Path]

pytestmark = pytest.mark.slow

FRAME_BYTES = 320 * 240 * 3 // 2
MEGABYTES = 10


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of this module's own, with room for the frames of two or three avatars."""
    settings = {"FRAME_CACHE_BYTES": str(MEGABYTES * 10**6), "MAX_FRAMES": "600", "MAX_QUEUED": "30"}
    with running(tmp_path_factory.mktemp("mortal"), **settings) as server:
        yield server


def submit(server: Server, video: Path, audio: Path) -> str:
    files = {"video": video.read_bytes(), "audio": audio.read_bytes()}
    headers = {"Prefer": "respond-async"}
    answer = server.client.post("/v1/renders", data={"quality": "draft"}, files=files, headers=headers)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def has_begun(server: Server, job_id: str, step: int) -> bool:
    if step == 2:
        return len(list((server.data_dir / "jobs" / job_id / "segments").glob("*.m4s"))) >= 1
    return bool(server.job(job_id)["progress"]["frames_done"] > 0)


@pytest.mark.parametrize("killed", ["worker", "service"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_in_either_step_is_survived(
    service: Server, speech: Speech, tmp_path: Path, step: int, killed: str
) -> None:
    frames = 50 + step + 5 * (killed == "worker")  # another video each time
    video = clips.talking_head(tmp_path / "head.mp4", frames / 25)
    job_id = submit(service, video, speech(10))
    service.wait(lambda: has_begun(service, job_id, step))
    if killed == "worker":
        assert service.render_pid
        os.kill(service.render_pid, signal.SIGKILL)
    else:
        service.kill()
        service.start()
    job = service.outcome(job_id)
    assert (job["state"], job["attempts"], job["error"]) == ("succeeded", 2, None)
    assert job["progress"]["frames_total"] == frames + 250
    (tmp_path / "result.mp4").write_bytes(service.client.get(job["links"]["video"]).content)
    assert len(decode(tmp_path / "result.mp4").frames) == 250
    service.wait(lambda: service.files(job_id) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"])
    service.wait(lambda: not list(service.avatars_dir.glob(".*")))  # swept once a minute


def test_twenty_different_ones_at_once_keep_every_limit(
    service: Server, speech: Speech, tmp_path: Path
) -> None:
    videos = [clips.talking_head(tmp_path / f"{n}.mp4", 1.0 + n / 25) for n in range(17)]
    too_many_frames = clips.talking_head(tmp_path / "many.mp4", 4.0)  # more than all that may be decoded
    text = tmp_path / "text.mp4"
    text.write_bytes(b"Dear Sir or Madam, " * 100)
    calls = [(video, speech(0.5)) for video in (*videos, too_many_frames, text)]
    calls.append((videos[0], speech(25)))  # more frames than a render may have

    def post(call: tuple[Path, Path]) -> httpx.Response:
        files = {"video": call[0].read_bytes(), "audio": call[1].read_bytes()}
        return httpx.post(f"{service.url}/v1/renders", files=files, timeout=600)

    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(post, call) for call in calls]
        while not all(answer.done() for answer in answers):
            assert cached(service) <= MEGABYTES * 10**6
    statuses = [answer.result().status_code for answer in answers]
    assert statuses == [200] * 17 + [413, 415, 413]
    kinds = [answer.result().json()["type"].rsplit(":", 1)[1] for answer in answers[17:]]
    assert kinds == ["too-many-frames", "not-a-video", "too-many-frames"]
    made = service.client.get("/v1/avatars?implicit=true").json()["avatars"]
    assert len({avatar["source"]["sha256"] for avatar in made}) == len(made) >= 17
    service.wait(lambda: not list((service.data_dir / "jobs").glob("*/video")))


def cached(server: Server) -> int:
    """Return how many bytes of decoded frames lie on the volume."""

    def size(path: Path) -> Any:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    return sum(size(path) for path in server.avatars_dir.glob("[!.]*/frames.i420"))
