"""One call with a mistake in it: a sentence, and neither an avatar nor a job's file is left."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from tests.e2e.hostile.sending import problem
from tests.support import clips
from tests.support.cutouts import cutout
from tests.support.server import Server

Speech = Callable[[float], Path]


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of a video, 304x240, that no test makes an avatar of."""
    return clips.talking_head(tmp_path_factory.mktemp("unknown") / "v.mp4", 1.0, width=304).read_bytes()


def ask(server: Server, video: bytes, sound: bytes, **data: str) -> httpx.Response:
    files = {"video": ("v", video), "audio": ("a", sound)}
    return server.client.post("/v1/renders", data={"quality": "draft"} | data, files=files)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("keep", "0.1-0.5,0.4-0.6", "overlap"),
        ("keep", "0.5-0.1", "ends before it starts"),
        ("keep", "0.1-9", "lies beyond the end of the result, which lasts 0.60 s"),
        ("keep", "all", "seconds such as"),
        ("height", "242", "can only be made smaller"),
        ("height", "121", "multiple of 2"),
        ("height", "-2", "height"),
        ("strength", "nan", "strength"),
        ("strength", "1.6", "strength"),
        ("start", "3", "lies beyond the clip, which lasts 1.00 s"),
        ("end", "3", "lies beyond the clip"),
        ("background", "http://127.0.0.1/a.png", "picture sent as a file"),
        ("background", "/etc/passwd", "picture sent as a file"),
        ("rotate", "45", "rotated by 0, 90, 180 or 270"),
        ("format", "avi", "format"),
        ("hdr", "perhaps", "hdr"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(
    server: Server, unknown: bytes, speech: Speech, name: str, value: str, words: str
) -> None:
    answer = ask(server, unknown, speech(0.6).read_bytes(), **{name: value})
    assert words in problem(answer, 422, "invalid-request")


def test_a_crop_of_a_part_without_a_face_is_refused(server: Server, speech: Speech, tmp_path: Path) -> None:
    frames = [clips.moving_portrait(index, 304, 240) for index in range(12)]
    frames += [np.full((240, 304, 3), 90, np.uint8)] * 24
    video = clips.write_video(tmp_path / "v.mp4", frames).read_bytes()
    answer = ask(server, video, speech(0.4).read_bytes(), crop="face", start="1")
    assert "no face is visible" in problem(answer, 422, "invalid-request")


def test_a_photo_of_a_hundred_megapixels_is_refused(server: Server, speech: Speech) -> None:
    png = cv2.imencode(".png", np.zeros((10_000, 10_000), np.uint8))[1].tobytes()
    detail = problem(ask(server, png, speech(0.2).read_bytes()), 413, "too-many-pixels")
    assert "10000x10000" in detail


def test_a_zip_called_webp_is_refused(server: Server, speech: Speech, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.webp", "w") as archive:
        archive.writestr("a.txt", "no picture")
    problem(ask(server, (tmp_path / "a.webp").read_bytes(), speech(0.2).read_bytes()), 415, "not-a-video")


@pytest.mark.parametrize("kind", ["text/plain", "application/pdf", "multipart/mixed; boundary=x", ""])
def test_a_body_of_another_type_is_refused(server: Server, speech: Speech, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = server.client.post("/v1/renders?avatar=anna", content=speech(0.2).read_bytes(), headers=headers)
    assert "multipart/form-data" in problem(answer, 415, "unsupported-media")


def test_a_voice_that_is_no_sound_is_refused(server: Server, unknown: bytes, speech: Speech) -> None:
    files: dict[str, Any] = {
        "video": unknown,
        "audio": speech(0.2).read_bytes(),
        "voice": ("v.wav", b"la la"),
    }
    assert problem(server.client.post("/v1/renders", files=files), 415, "not-audio").startswith("voice: ")


@pytest.mark.parametrize(
    ("name", "status", "kind", "said"),
    [
        ("video", 415, "not-a-video", "The file is empty."),
        ("voice", 415, "not-audio", "voice: The file is empty."),
        ("background", 415, "unsupported-media", "background: The file is empty. Send a JPEG"),
    ],
)
def test_an_empty_file_is_told_what_it_is(
    server: Server, video: Path, speech: Speech, name: str, status: int, kind: str, said: str
) -> None:
    files = {"video": video.read_bytes(), "audio": speech(0.2).read_bytes(), name: b""}
    answer = server.client.post("/v1/renders", files={each: (each, data) for each, data in files.items()})
    assert problem(answer, status, kind).startswith(said)


def test_a_shorter_voice_and_an_mp4_of_a_cutout_are_warned_of(
    server: Server, speech: Speech, tmp_path: Path
) -> None:
    video = cutout(tmp_path / "v.webm").read_bytes()
    files: dict[str, Any] = {
        "video": video,
        "audio": speech(0.6).read_bytes(),
        "voice": ("v.wav", speech(0.3).read_bytes()),
    }
    answer = server.client.post("/v1/renders", files=files, data={"format": "mp4", "quality": "draft"})
    assert answer.status_code == 200, answer.text
    job = server.job(answer.headers["content-location"].rsplit("/", 1)[1])
    told = {warning["code"]: warning["seconds"] for warning in job["warnings"]}
    assert told["voice-length"] == pytest.approx(0.3)
    assert "alpha-flattened" in told
    assert server.client.delete(f"/v1/avatars/{job['avatar_id']}").status_code == 204
