"""Renders: whole videos, their parameters and their formats."""

import json
from base64 import b64encode
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from app.media.tone_mapping import HLG
from tests.e2e.asking import post
from tests.support.cutouts import cutout, decode_transparent, opacity_of
from tests.support.hdr import decode_deep, hdr_head
from tests.support.server import Server
from tests.support.videos import decode

Speech = Callable[[float], Path]


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
    assert "Only MP4" in refused.json()["detail"]
