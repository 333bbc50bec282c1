"""One request as people and workflow tools send it: the file alone, fields left empty, fields of other
services."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.notices import NoticeCode
from tests.support import clips
from tests.support.renders import decode_pictures, decode_samples
from tests.support.server import Server
from tests.support.sounds import write_sound


@pytest.fixture(scope="module")
def photo(server: Server) -> str:
    """An avatar made of a photo, sent as the whole body."""
    jpeg = cv2.imencode(".jpg", clips.portrait())[1].tobytes()
    response = server.client.post(
        "/v1/avatars?id=photo&rotate=", content=jpeg, headers={"Content-Type": "image/jpeg"}
    )
    assert response.status_code == 201, response.text
    assert (response.json()["frame_count"], response.json()["warnings"]) == (1, [])
    return "/v1/avatars/photo/renders"


def test_a_photo_speaks_for_as_long_as_the_sound(
    server: Server, photo: str, speech: Callable[[float], Path], tmp_path: Path
) -> None:
    headers = {"Content-Type": "audio/wav"}
    response = server.client.post(f"{photo}?quality=draft", content=speech(1.0).read_bytes(), headers=headers)
    assert response.status_code == 200, response.text
    (tmp_path / "a.mp4").write_bytes(response.content)
    assert sum(1 for _ in decode_pictures(tmp_path / "a.mp4")) == 25
    assert decode_samples(tmp_path / "a.mp4").shape[1] == pytest.approx(16000, abs=1024)
    assert server.job(response.headers["content-location"].rsplit("/", 1)[1])["warnings"] == []


def test_a_raw_body_can_be_streamed(server: Server, photo: str, speech: Callable[[float], Path]) -> None:
    headers = {"Content-Type": "audio/wav"}
    response = server.client.post(f"{photo}?stream=true", content=speech(0.5).read_bytes(), headers=headers)
    assert response.status_code == 200
    assert b"moof" in response.content


def test_what_was_ignored_and_what_is_doubtful_is_said_with_the_job(
    server: Server, photo: str, tmp_path: Path
) -> None:
    voice = clips.speech_like(1.0)
    path = write_sound(tmp_path / "a.wav", np.stack([voice, -voice]), 16000, "pcm_s16le", "stereo")
    form = {"fps": "", "quality": "draft", "colour": "red", "stream": "true"}
    response = server.client.post(photo, data=form, files={"file": ("a.wav", path.read_bytes())})
    assert response.status_code == 200, response.text
    job = server.job(response.headers["content-location"].rsplit("/", 1)[1])
    assert [told["code"] for told in job["warnings"]] == [
        NoticeCode.UNKNOWN_FIELDS,
        NoticeCode.OUT_OF_PHASE_SOUND,
    ]
    assert "colour, stream" in job["warnings"][0]["detail"]


def test_sound_that_outlasts_the_clip_is_said(
    server: Server, anna: str, speech: Callable[[float], Path]
) -> None:
    files = {"audio": ("a.wav", speech(2.5).read_bytes())}
    response = server.client.post(anna, data={"quality": "draft"}, files=files)
    job = server.job(response.headers["content-location"].rsplit("/", 1)[1])
    assert [told["code"] for told in job["warnings"]] == [NoticeCode.SOUND_LONGER_THAN_CLIP]
    assert job["warnings"][0]["seconds"] == pytest.approx(1.5, abs=0.05)


def test_the_list_of_avatars_has_their_warnings(server: Server) -> None:
    pair = [np.hstack([clips.moving_portrait(i, 240, 240)] * 2) for i in range(5)]
    _, gif = cv2.imencode(".png", pair[0])
    response = server.client.post(
        "/v1/avatars", data={"id": "pair", "colour": "red"}, files={"video": ("a.png", gif.tobytes())}
    )
    codes = [told["code"] for told in response.json()["warnings"]]
    assert codes == [NoticeCode.UNKNOWN_FIELDS, NoticeCode.SEVERAL_FACES]
    kept = server.client.get("/v1/avatars/pair").json()["warnings"]
    assert [told["code"] for told in kept] == [NoticeCode.SEVERAL_FACES]
    server.client.delete("/v1/avatars/pair")
