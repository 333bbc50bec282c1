import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.support.server import Server
from tests.support.waiting import until

Speech = Callable[[float], Path]

ADMITTED = 21
"""Jobs that are there at most while none ends: a queue of 20, and the one that the worker has."""


def test_of_a_hundred_posts_at_once_none_is_lost_and_the_excess_is_told_when_to_return(
    server: Server, anna: str, speech: Speech
) -> None:
    content = speech(0.2).read_bytes()

    async def post_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
            with server.worker_stopped():  # else those that come late find the queue empty again
                posts = [asyncio.create_task(client.post(anna, files={"audio": content})) for _ in range(100)]
                await until(lambda: sum(post.done() for post in posts) >= 100 - ADMITTED)
            return list(await asyncio.gather(*posts))

    answers = asyncio.run(post_all())
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}
    assert ADMITTED - 1 <= statuses[200] <= ADMITTED
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["type"] == "urn:mouthpiece:problem:queue-full"
            assert int(answer.headers["retry-after"]) > 0
    jobs = {answer.headers["content-location"] for answer in answers if answer.status_code == 200}
    assert len(jobs) == statuses[200]
    assert all(server.job(job.rsplit("/", 1)[1])["state"] == "succeeded" for job in jobs)
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1


def test_the_metrics_count_what_was_done(server: Server, anna: str, speech: Speech) -> None:
    def value(name: str) -> float:
        lines = server.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    ended = 'mouthpiece_jobs_ended_total{kind="render",state="succeeded"}'
    frames = 'mouthpiece_frames_total{kind="render"}'
    requests = (
        'mouthpiece_http_requests_total{method="POST",route="/v1/avatars/{avatar_id}/renders",status="200"}'
    )
    before = value(ended), value(frames), value(requests)
    after = before[0] + 1, before[1] + 25, before[2] + 1
    assert server.client.post(anna, files={"audio": speech(1.0).read_bytes()}).status_code == 200
    server.wait(lambda: (value(ended), value(frames), value(requests)) == after)
    assert value("mouthpiece_queue_depth") == 0
    assert value("mouthpiece_ready") == 1


def test_the_service_says_what_it_is(server: Server, anna: str) -> None:
    info = server.client.get("/v1/info").json()
    assert info["model"]["name"] == "mouthpiece"
    assert len(info["model"]["sha256"]) == 64
    assert info["model"]["licence"]
    assert (info["backend"], info["device"]) == ("openvino", "cpu")
    assert info["precision"] in ("fp32", "bf16", "fp16")
    assert info["limits"]["max_queued"] == 20


def test_nothing_of_what_callers_send_is_logged(server: Server, anna: str) -> None:
    secret = b"a very private sentence"
    headers = {"Authorization": "Bearer a-very-private-key"}
    response = server.client.post(anna, files={"audio": ("private-name.wav", secret)}, headers=headers)
    assert response.status_code == 415
    assert response.headers["content-location"].rsplit("/", 1)[1] in server.log
    assert "private" not in server.log
