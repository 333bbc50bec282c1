import json
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.media.tone_mapping import HLG
from tests.support.cutouts import cutout, decode_transparent, opacity_of
from tests.support.hdr import decode_deep, hdr_head
from tests.support.server import Server
from tests.support.videos import decode

Speech = Callable[[float], Path]


def post(
    server: Server, address: str, audio: Path, data: dict[str, str] | None = None, **headers: str
) -> httpx.Response:
    files = {"audio": audio.read_bytes()}
    return server.client.post(address, data=data or {}, files=files, headers=headers)


def begin(server: Server, address: str, audio: Path) -> str:
    """Submit a render in the background; return its job's id."""
    response = post(server, address, audio, Prefer="respond-async")
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id


@pytest.fixture(scope="module")
def finished(server: Server, anna: str, speech: Speech) -> str:
    """The id of a render that has succeeded."""
    job_id = begin(server, anna, speech(1.0))
    assert server.outcome(job_id)["state"] == "succeeded"
    return job_id


def test_sound_becomes_a_whole_video(server: Server, anna: str, speech: Speech, tmp_path: Path) -> None:
    response = post(server, anna, speech(1.3))
    assert response.status_code == 200
    assert response.headers["content-type"] == "video/mp4"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.content.index(b"moov") < response.content.index(b"mdat")
    path = tmp_path / "out.mp4"
    path.write_bytes(response.content)
    result = decode(path)
    assert len(result.frames) == round(1.3 * 25)
    assert abs(result.video_end - result.sound_end) <= Fraction(1, 25)
    job = server.job(response.headers["content-location"].rsplit("/", 1)[1])
    assert (job["kind"], job["state"], job["avatar_id"]) == ("render", "succeeded", "anna")
    assert job["progress"]["frames_done"] == job["progress"]["frames_total"] == len(result.frames)


def test_parameters_reach_the_render(server: Server, anna: str, speech: Speech, tmp_path: Path) -> None:
    data = {
        "fps": "29.97",
        "quality": "draft",
        "mouth_offset_ms": "-20.5",
        "start_frame": "7",
        "loop": "restart",
    }
    response = post(server, anna, speech(1.3), data)
    path = tmp_path / "out.mp4"
    path.write_bytes(response.content)
    assert len(decode(path).frames) == round(1.3 * 30000 / 1001)
    job_id = response.headers["content-location"].rsplit("/", 1)[1]
    plan = json.loads((server.data_dir / "jobs" / job_id / "plan.json").read_text())
    options = plan["options"]
    assert (options["fps"], options["quality"], options["mouth_offset_ms"]) == ("30000/1001", "draft", -20.5)
    assert (options["start_frame"], options["loop"]) == (7, "restart")


def test_another_format_is_said_in_the_answer_and_is_not_streamed(
    server: Server, anna: str, speech: Speech
) -> None:
    response = post(server, anna, speech(0.4), {"format": "webm", "quality": "draft"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "video/webm"
    assert ".webm" in response.headers["content-disposition"]
    assert response.content[:4] == b"\x1a\x45\xdf\xa3"
    job = response.headers["content-location"]
    part = server.client.get(f"{job}/video", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, response.content[:4])
    files = {"audio": speech(0.4).read_bytes()}
    refused = server.client.post(anna, params={"stream": "true"}, data={"format": "mov"}, files=files)
    assert refused.status_code == 422
    assert "cannot be streamed" in refused.json()["detail"]


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
    assert first_seen["fraction"] < 0.15
    final = server.client.get(f"/v1/jobs/{job_id}/video").content
    paths = tmp_path / "streamed.mp4", tmp_path / "final.mp4"
    for path, content in zip(paths, (bytes(streamed), final), strict=True):
        path.write_bytes(content)
    one, other = (decode(path).frames for path in paths)
    assert len(one) == len(other) == 500
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert server.files(job_id) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"]


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
        assert httpx.delete(server.url + job).status_code == 204
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            list(chunks)
    assert server.files(job.rsplit("/", 1)[1]) == []


def test_a_client_that_hangs_up_does_not_stop_its_job(server: Server, anna: str, speech: Speech) -> None:
    files = {"audio": speech(10).read_bytes()}
    with server.client.stream("POST", anna, params={"stream": "true"}, files=files) as response:
        job_id = response.headers["content-location"].rsplit("/", 1)[1]
        next(response.iter_bytes())
    assert server.outcome(job_id)["state"] == "succeeded"


def events(server: Server, job_id: str) -> list[tuple[str, Any]]:
    """Return the (name, data) of all events of a job, to the end of the stream."""
    found, name = [], ""
    with server.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def test_a_job_is_followed_by_events_to_its_end(server: Server, anna: str, speech: Speech) -> None:
    job_id = begin(server, anna, speech(10))
    seen = events(server, job_id)
    names = [name for name, _ in seen]
    assert names == ["progress"] * (len(seen) - 1) + ["end"]
    assert seen[-1][1] == server.job(job_id)
    assert seen[-1][1]["state"] == "succeeded"
    moving = [job["progress"] for _, job in seen if job["state"] == "running" and job["progress"]["fps"] > 0]
    assert moving
    assert all(progress["eta_seconds"] >= 0 and progress["frames_total"] == 250 for progress in moving)
    done = [progress["frames_done"] for progress in moving]
    assert done == sorted(done)


def test_the_events_of_a_finished_job_are_its_end(server: Server, finished: str) -> None:
    assert events(server, finished) == [("end", server.job(finished))]


def test_a_video_is_fetched_in_ranges(server: Server, finished: str) -> None:
    url = f"/v1/jobs/{finished}/video"
    whole = server.client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(whole.content)
    for given, start, end in (("0-99", 0, 100), ("100-", 100, size), ("-50", size - 50, size)):
        part = server.client.get(url, headers={"Range": f"bytes={given}"})
        assert part.status_code == 206
        assert part.content == whole.content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"


@pytest.mark.parametrize("given", ["bytes=", "lines=1-2", "bytes=9-2", "bytes=0-1,4-5", "bytes=a-b"])
def test_a_range_that_means_nothing_gets_the_whole(server: Server, finished: str, given: str) -> None:
    response = server.client.get(f"/v1/jobs/{finished}/video", headers={"Range": given})
    assert response.status_code == 200


def test_a_range_beyond_the_end_is_refused(server: Server, finished: str) -> None:
    response = server.client.get(f"/v1/jobs/{finished}/video", headers={"Range": "bytes=99999999-"})
    assert response.status_code == 416
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["content-range"].startswith("bytes */")


def test_a_tag_tells_whether_the_client_has_the_video(server: Server, finished: str) -> None:
    url = f"/v1/jobs/{finished}/video"
    tag = server.client.get(url).headers["etag"]
    assert not tag.startswith("W/")
    assert server.client.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert server.client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    ranged = {"Range": "bytes=0-9", "If-Range": tag}
    assert server.client.get(url, headers=ranged).status_code == 206
    assert server.client.get(url, headers=ranged | {"If-Range": '"other"'}).status_code == 200


def test_a_head_says_what_a_get_would(server: Server, finished: str) -> None:
    url = f"/v1/jobs/{finished}/video"
    head, get = server.client.head(url), server.client.get(url)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["etag"] == get.headers["etag"]


def test_an_unfinished_video_is_a_conflict_and_a_canceled_one_gone(
    server: Server, anna: str, speech: Speech
) -> None:
    job_id = begin(server, anna, speech(60))
    server.wait(lambda: server.job(job_id)["progress"]["frames_done"] > 0)
    response = server.client.get(f"/v1/jobs/{job_id}/video")
    assert response.status_code == 409
    assert response.json()["type"] == "urn:mouthpiece:problem:job-not-finished"
    started = time.monotonic()
    assert server.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert time.monotonic() - started < 2
    job = server.job(job_id)
    assert (job["state"], job["error"]) == ("canceled", None)
    assert server.files(job_id) == []
    assert server.client.get(f"/v1/jobs/{job_id}/video").status_code == 410


def test_a_waiting_job_is_canceled_at_once(server: Server, anna: str, speech: Speech) -> None:
    busy, waiting = begin(server, anna, speech(60)), begin(server, anna, speech(1.0))
    assert server.client.delete(f"/v1/jobs/{waiting}").status_code == 204
    assert server.job(waiting)["state"] == "canceled"
    assert server.job(waiting)["attempts"] == 0
    assert server.files(waiting) == []
    server.client.delete(f"/v1/jobs/{busy}")


def test_deleting_a_finished_job_forgets_it_and_its_files(server: Server, anna: str, speech: Speech) -> None:
    job_id = begin(server, anna, speech(0.2))
    assert server.outcome(job_id)["state"] == "succeeded"
    assert server.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert server.client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert not (server.data_dir / "jobs" / job_id).exists()


def test_a_failed_job_keeps_its_problem_and_no_files(server: Server, anna: str) -> None:
    response = server.client.post(anna, files={"audio": b"text"}, headers={"Prefer": "respond-async"})
    job = server.outcome(response.json()["id"])
    assert (job["state"], job["error"]["status"]) == ("failed", 415)
    video = server.client.get(f"/v1/jobs/{job['id']}/video")
    assert video.status_code == 409
    assert video.json()["type"] == "urn:mouthpiece:problem:job-failed"
    assert job["error"]["detail"] in video.json()["detail"]
    server.wait(lambda: not server.files(job["id"]))


def test_jobs_are_listed_newest_first_page_by_page(server: Server, finished: str) -> None:
    every, cursor = [], None
    for _ in range(100):
        query = "limit=3&avatar=anna" + (f"&cursor={cursor}" if cursor is not None else "")
        page = server.client.get(f"/v1/jobs?{query}").json()
        every += page["jobs"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    newest = server.client.get("/v1/jobs?limit=200&avatar=anna").json()
    assert every == newest["jobs"]
    assert newest["next_cursor"] is None
    assert every[0]["created_at"] > every[-1]["created_at"]
    assert finished in [job["id"] for job in every]
    assert {job["avatar_id"] for job in every} == {"anna"}
    canceled = server.client.get("/v1/jobs", params={"state": "canceled"}).json()["jobs"]
    assert {job["state"] for job in canceled} <= {"canceled"}


def test_a_head_that_was_cut_out_stays_so_in_a_webm(server: Server, speech: Speech, tmp_path: Path) -> None:
    video = cutout(tmp_path / "cutout.webm")
    with video.open("rb") as file:
        made = server.client.post("/v1/avatars", data={"id": "cutout"}, files={"video": file})
    assert made.status_code == 201, made.text
    data = {"format": "webm", "quality": "draft", "length": "video"}
    response = post(server, "/v1/avatars/cutout/renders", speech(0.4), data)
    assert response.status_code == 200, response.text
    (tmp_path / "talk.webm").write_bytes(response.content)
    pictures = decode_transparent(tmp_path / "talk.webm")
    assert len(pictures) == 12
    for index, (_, opacity) in enumerate(pictures):
        assert (opacity == opacity_of(index, 320, 240)).all()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_voice_is_a_file_beside_the_audio(server: Server, anna: str, speech: Speech, as_json: bool) -> None:
    sounds = {"audio": speech(0.6).read_bytes(), "voice": speech(0.4).read_bytes()}
    if as_json:
        body = {name: f"data:audio/wav;base64,{b64encode(data).decode()}" for name, data in sounds.items()}
        response = server.client.post(anna, json=body | {"quality": "draft"})
    else:
        response = server.client.post(anna, data={"quality": "draft"}, files=sounds)
    assert response.status_code == 200, response.text
    job = server.job(response.headers["content-location"].rsplit("/", 1)[1])
    assert [(told["code"], told["seconds"]) for told in job["warnings"]] == [("voice-length", 0.2)]
    assert job["progress"]["frames_total"] == 15


def test_a_high_dynamic_range_may_be_kept(server: Server, speech: Speech, tmp_path: Path) -> None:
    video = hdr_head(tmp_path / "bright.mp4", HLG)
    with video.open("rb") as file:
        made = server.client.post("/v1/avatars", data={"id": "bright"}, files={"video": file})
    assert made.status_code == 201, made.text
    data = {"hdr": "keep", "quality": "draft"}
    response = post(server, "/v1/avatars/bright/renders", speech(0.4), data)
    assert response.status_code == 200, response.text
    (tmp_path / "talk.mp4").write_bytes(response.content)
    assert len(decode_deep(tmp_path / "talk.mp4")) == 10
    refused = post(server, "/v1/avatars/bright/renders", speech(0.4), data | {"format": "mov"})
    assert refused.status_code == 422
    assert "Only an MP4" in refused.json()["detail"]
