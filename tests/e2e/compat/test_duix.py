"""Duix.Avatar's video service, asked as its desktop app asks it: submit, then ask every while."""

from typing import Any

import httpx

from tests.e2e.compat.conftest import Place


def submit(place: Place, code: str, **more: Any) -> Any:
    """Submit a job with the fields that the app sends."""
    given = {"audio_url": place.audio, "video_url": place.video, "code": code}
    fixed = {"chaofen": 0, "watermark_switch": 0, "pn": 1}
    answer = place.server.client.post("/easy/submit", json=given | fixed | more)
    assert answer.status_code == 200
    return answer.json()


def query(place: Place, code: str) -> Any:
    answer = place.server.client.get("/easy/query", params={"code": code})
    assert answer.status_code == 200
    return answer.json()


def ended(place: Place, code: str) -> Any:
    """Return the data of a job once it has ended."""

    def ask() -> Any:
        said = query(place, code)
        assert said["code"] == 10000
        return None if said["data"]["status"] == 1 else said["data"]

    return place.server.wait(ask)


def test_a_job_is_submitted_followed_and_kept_when_its_end_was_asked_for(place: Place) -> None:
    code = "8f1e0a4c-1d6a-4c31-9d0a-6f2f8e9b7a10"
    assert submit(place, code) == {
        "code": 10000, "success": True, "msg": "The job was queued.", "data": {"code": code},
    }  # fmt: skip
    assert submit(place, code)["msg"] == "The job is in progress."
    done = ended(place, code)
    assert (done["status"], done["progress"], done["code"]) == (2, 100, code)
    assert done["cost"] > 0
    assert place.frames(done["result"]) == 10
    assert query(place, code)["data"] == done


def test_a_code_whose_job_has_ended_may_be_used_again(place: Place) -> None:
    submit(place, "again")
    first = ended(place, "again")
    known = {"If-None-Match": httpx.head(first["result"], timeout=60).headers["etag"]}
    submit(place, "again", audio_url=f"{place.neighbour.url}/long.wav")
    second = ended(place, "again")
    assert first["result"] == second["result"]
    assert place.frames(second["result"]) == 40
    later = httpx.get(second["result"], headers=known, timeout=60)
    assert later.status_code == 200, "it is another video"


def test_what_is_wrong_is_said_by_its_codes(place: Place) -> None:
    wrong: list[dict[str, Any]] = [
        {"video_url": "face2face/head.mp4"},
        {"video_url": "http://127.0.0.1:9/head.mp4"},
        {"video_url": ""},
        {"audio_url": None},
    ]
    for more in wrong:
        said = submit(place, "wrong", **more)
        assert (said["code"], said["success"]) == (10002, False), more
        assert said["msg"].endswith("."), said
    assert submit(place, "")["code"] == 10002
    assert query(place, "nobody")["code"] == 10004
    assert query(place, "")["code"] == 10002
    submit(place, "no-face", video_url=place.audio)
    failed = ended(place, "no-face")
    assert (failed["status"], failed["result"]) == (3, "")
    assert "video" in failed["msg"]
    locked = httpx.get(f"{place.url}/easy/query?code=again", timeout=60).json()
    assert (locked["code"], "API key" in locked["msg"]) == (10002, True)
