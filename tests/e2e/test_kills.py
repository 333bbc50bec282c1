"""The service is killed while it makes each format, in each step of one call: the file is as it would be."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from app.media.tone_mapping import PQ
from tests.support import clips
from tests.support.cutouts import cutout
from tests.support.hdr import hdr_head
from tests.support.server import Server, running

pytestmark = pytest.mark.slow

FRAMES = 90
SECONDS = 6.0
OPTIONS = {
    "mp4": {"format": "mp4"},
    "webm": {"format": "webm"},
    "mov": {"format": "mov"},
    "hdr": {"format": "mp4", "hdr": "keep"},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of this module's own."""
    with running(tmp_path_factory.mktemp("killed")) as server:
        yield server


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Footage for each format: transparent, of a high dynamic range, or plain."""
    folder = tmp_path_factory.mktemp("footage")

    def make(form: str) -> Path:
        path = folder / {"mp4": "plain.mp4", "hdr": "hdr.mp4"}.get(form, "cut.webm")
        if path.exists():
            return path
        if form == "hdr":
            return hdr_head(path, PQ, FRAMES)
        return clips.talking_head(path, FRAMES / 25) if form == "mp4" else cutout(path, FRAMES)

    return make


def submit(server: Server, video: Path, sound: Path, form: str) -> str:
    files = {"video": video.read_bytes(), "audio": sound.read_bytes()}
    data = {"quality": "draft"} | OPTIONS[form]
    answer = server.client.post("/v1/renders", data=data, files=files, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def packets(server: Server, job: Any, path: Path) -> list[tuple[int, int | None, bytes]]:
    """Return all packets of a job's result, and forget its avatar."""
    assert (job["state"], job["error"]) == ("succeeded", None)
    path.write_bytes(server.client.get(job["links"]["video"]).content)
    assert server.client.delete(f"/v1/avatars/{job['avatar_id']}").status_code == 204
    with av.open(str(path)) as container:
        return [(each.stream_index, each.pts, bytes(each)) for each in container.demux() if each.size]


def has_begun(server: Server, job_id: str, step: int) -> bool:
    if step == 2:
        return any((server.data_dir / "jobs" / job_id / "segments").glob("*.m4s"))
    return bool(server.job(job_id)["progress"]["frames_done"] > 0)


@pytest.mark.parametrize("form", OPTIONS)
def test_a_service_that_is_killed_makes_the_file_that_it_would_have_made(
    service: Server, footage: Callable[[str], Path], form: str, tmp_path: Path
) -> None:
    video, sound = footage(form), clips.speech(tmp_path / "words.wav", SECONDS)
    undisturbed = service.outcome(submit(service, video, sound, form))
    expected = packets(service, undisturbed, tmp_path / "expected")
    assert len({stream for stream, _, _ in expected}) == 2
    for step in (1, 2):
        job_id = submit(service, video, sound, form)
        service.wait(lambda job_id=job_id, step=step: has_begun(service, job_id, step))
        service.kill()
        service.start()
        job = service.outcome(job_id)
        assert job["attempts"] == 2
        assert job["warnings"] == undisturbed["warnings"]
        assert packets(service, job, tmp_path / f"{step}") == expected
        assert not list(service.avatars_dir.glob(".*"))
