"""A picture behind transparent footage, sent with it; what is no picture is refused."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from app.media.frames import Color, FrameLayout
from tests.support.cutouts import cutout
from tests.support.server import Server
from tests.support.videos import decode

Speech = Callable[[float], Path]
GREEN, BLUE = (40, 190, 40), (190, 60, 30)


def picture(color: tuple[int, int, int]) -> bytes:
    """Return a PNG of one colour, BGR."""
    return cv2.imencode(".png", np.full((90, 160, 3), color, np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A head that was cut out, half a second."""
    return cutout(tmp_path_factory.mktemp("footage") / "head.webm").read_bytes()


def corner(content: bytes, path: Path) -> Any:
    """Return the mean colour, BGR, of a corner of a result's last frame."""
    path.write_bytes(content)
    layout = FrameLayout(320, 240, Color("bt601"))
    return layout.to_bgr(decode(path).frames[-1])[4:20, 4:20].mean(axis=(0, 1))


def post(server: Server, footage: bytes, speech: Speech, background: bytes, **data: str) -> httpx.Response:
    files: dict[str, Any] = {
        "video": footage,
        "audio": speech(0.4).read_bytes(),
        "background": ("b.png", background),
    }
    return server.client.post("/v1/renders", data={"quality": "draft"} | data, files=files)


def test_a_picture_shows_behind_transparent_footage_in_one_call(
    server: Server, footage: bytes, speech: Speech, tmp_path: Path
) -> None:
    avatars = []
    for number, color in enumerate((GREEN, GREEN, BLUE)):
        answer = post(server, footage, speech, picture(color))
        assert answer.status_code == 200, answer.text
        assert np.abs(corner(answer.content, tmp_path / f"{number}.mp4") - color).max() < 8
        job = server.job(answer.headers["content-location"].rsplit("/", 1)[1])
        avatars.append(job["avatar_id"])
        (told,) = [told for told in job["warnings"] if told["code"] == "alpha-flattened"]
        assert "background picture" in told["detail"]
    assert avatars[0] == avatars[1] != avatars[2]


def test_a_webm_keeps_the_transparency_and_nothing_is_said_of_it(
    server: Server, footage: bytes, speech: Speech
) -> None:
    answer = post(server, footage, speech, picture(GREEN), format="webm")
    assert answer.status_code == 200, answer.text
    job = server.job(answer.headers["content-location"].rsplit("/", 1)[1])
    assert "alpha-flattened" not in [told["code"] for told in job["warnings"]]


def test_the_picture_is_kept_with_the_avatar(
    server: Server, footage: bytes, speech: Speech, tmp_path: Path
) -> None:
    files: dict[str, Any] = {"video": footage, "background": ("b.png", picture(GREEN))}
    made = server.client.post("/v1/avatars", data={"id": "cut"}, files=files)
    assert made.status_code == 201, made.text
    (server.avatars_dir / "cut" / "frames.i420").unlink()
    answer = server.client.post("/v1/avatars/cut/renders", files={"audio": speech(0.4).read_bytes()})
    assert np.abs(corner(answer.content, tmp_path / "a.mp4") - GREEN).max() < 8
    assert server.client.delete("/v1/avatars/cut").status_code == 204


def test_json_has_the_picture_as_a_data_uri(server: Server, footage: bytes) -> None:
    files = {"video": footage, "background": picture(BLUE)}
    given = {name: f"data:;base64,{base64.b64encode(body).decode()}" for name, body in files.items()}
    answer = server.client.post("/v1/avatars", json={"id": "json"} | given)
    assert answer.status_code == 201, answer.text
    jpeg = server.client.get("/v1/avatars/json/preview.jpg").content
    preview = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert preview is not None
    assert np.abs(preview[4:20, 4:20].mean(axis=(0, 1)) - BLUE).max() < 10
    server.client.delete("/v1/avatars/json")


@pytest.mark.parametrize(
    ("background", "status", "code", "words"),
    [
        (b"/etc/passwd", 415, "unsupported-media", "not a readable picture"),
        (b"#EXTM3U\nfile:///etc/passwd\n", 415, "unsupported-media", "not a readable picture"),
        (b"PK\3\4" + bytes(200), 415, "unsupported-media", "not a readable picture"),
        (b"GIF89a" + b"\xff" * 8, 413, "too-many-pixels", "65535x65535"),
        ("http://127.0.0.1/a.png", 422, "invalid-request", "picture sent as a file"),
        ("/etc/passwd", 422, "invalid-request", "picture sent as a file"),
        ("file:///etc/passwd", 422, "invalid-request", "picture sent as a file"),
    ],
)
def test_what_is_no_background_is_refused_and_nothing_is_stored(
    server: Server,
    footage: bytes,
    speech: Speech,
    background: bytes | str,
    status: int,
    code: str,
    words: str,
) -> None:
    def stored() -> tuple[Any, ...]:
        avatars = server.client.get("/v1/avatars?implicit=true").json()
        return avatars, sorted(server.avatars_dir.iterdir()), sorted((server.data_dir / "jobs").iterdir())

    before = stored()
    files: dict[str, Any] = {"video": footage, "audio": speech(0.2).read_bytes()}
    if isinstance(background, bytes):
        answer = server.client.post("/v1/renders", files=files | {"background": ("b.png", background)})
    else:
        answer = server.client.post("/v1/renders", files=files, data={"background": background})
    assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[1]) == (status, code), answer.text
    assert answer.json()["detail"].startswith("background: ")
    assert words in answer.json()["detail"]
    assert stored() == before


def test_a_colour_and_a_picture_contradict_each_other(server: Server, footage: bytes) -> None:
    files: dict[str, Any] = {"video": footage, "background": ("b.png", picture(GREEN))}
    for name, value in (("background", "#102030"), ("background_url", "data:,x")):
        answer = server.client.post("/v1/avatars", files=files, data={name: value})
        assert (answer.status_code, "background" in answer.json()["detail"]) == (422, True)
