"""Renders that are streamed while they are made."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e.asking import begin
from tests.support.server import Server
from tests.support.videos import decode

Speech = Callable[[float], Path]


def test_a_streamed_video_arrives_while_it_is_rendered_and_equals_the_final_one(
    server: Server, anna: str, speech: Speech, tmp_path: Path
) -> None:
    files = {"audio": speech(20).read_bytes()}
    streamed, first_seen = bytearray(), None
    with server.client.stream("POST", anna, params={"stream": "true"}, files=files) as response:
        assert response.status_code == 200
        assert "content-length" not in response.headers
        job_id = response.headers["content-location"].rsplit("/", 1)[1]
        for chunk in response.iter_bytes():
            first_seen = first_seen or server.job(job_id)["progress"]
            streamed += chunk
    assert first_seen is not None
    assert first_seen["frames_total"] == 500
    assert first_seen["fraction"] < 0.5
    final = server.client.get(f"/v1/jobs/{job_id}/video").content
    paths = tmp_path / "streamed.mp4", tmp_path / "final.mp4"
    for path, content in zip(paths, (bytes(streamed), final), strict=True):
        path.write_bytes(content)
    one, other = (decode(path).frames for path in paths)
    assert len(one) == len(other) == 500
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    server.wait(lambda: server.files(job_id) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"])


def test_several_readers_stream_one_render_each_to_its_end(server: Server, anna: str, speech: Speech) -> None:
    files = {"audio": speech(10).read_bytes()}
    headers = {"Prefer": "respond-async"}
    response = server.client.post(anna, params={"stream": "true"}, files=files, headers=headers)
    assert response.status_code == 202
    job_id = response.json()["id"]
    url = f"{server.url}/v1/jobs/{job_id}/video?stream=true"
    with ThreadPoolExecutor(2) as pool:
        quick = pool.submit(httpx.get, url, timeout=60)
        with server.client.stream("GET", url) as slow:
            assert "content-length" not in slow.headers
            chunks = slow.iter_bytes()
            streamed = bytearray(next(chunks))
            assert server.outcome(job_id)["state"] == "succeeded"
            assert quick.result().status_code == 200
            for chunk in chunks:
                streamed += chunk
    assert quick.result().content == bytes(streamed)
    server.wait(lambda: server.files(job_id) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"])
    final = server.client.get(url)
    assert final.content == server.client.get(f"/v1/jobs/{job_id}/video").content
    assert "content-length" in final.headers


def test_a_render_that_was_not_asked_to_stream_does_not(server: Server, anna: str, speech: Speech) -> None:
    job_id = begin(server, anna, speech(60))
    response = server.client.get(f"/v1/jobs/{job_id}/video?stream=true")
    assert response.status_code == 409
    server.client.delete(f"/v1/jobs/{job_id}")


def test_a_stream_that_cannot_begin_is_a_problem_document(server: Server, anna: str) -> None:
    response = server.client.post(anna, params={"stream": "true"}, files={"audio": b"no sound"})
    assert response.status_code == 415
    assert response.json()["type"] == "urn:mouthpiece:problem:not-audio"
    assert response.headers["content-location"].startswith("/v1/jobs/")


def test_a_stream_whose_render_is_canceled_is_cut_and_not_ended(
    server: Server, anna: str, speech: Speech
) -> None:
    files = {"audio": speech(60).read_bytes()}
    with server.client.stream("POST", anna, params={"stream": "true"}, files=files) as response:
        job = response.headers["content-location"]
        chunks = response.iter_bytes()
        next(chunks)
        assert httpx.delete(server.url + job, timeout=60).status_code == 204
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            list(chunks)
    job_id = job.rsplit("/", 1)[1]
    server.wait(lambda: server.files(job_id) == [])

    def told() -> dict[str, str]:
        events = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        return {event["event"]: event["level"] for event in events if event.get("job") == job_id}

    server.wait(lambda: told().keys() >= {"stream_cut", "job_ended"})
    assert set(told().values()) == {"info"}


def test_a_client_that_hangs_up_does_not_stop_its_job(server: Server, anna: str, speech: Speech) -> None:
    files = {"audio": speech(10).read_bytes()}
    with server.client.stream("POST", anna, params={"stream": "true"}, files=files) as response:
        job_id = response.headers["content-location"].rsplit("/", 1)[1]
        next(response.iter_bytes())
    assert server.outcome(job_id)["state"] == "succeeded"
