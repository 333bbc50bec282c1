"""What callers send by mistake or in malice: each gets its problem, and leaves the service as it was."""

import socket
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import cv2
import httpx
import numpy as np
import pytest

from app.api.uploads import WRITE_BYTES
from tests.support import clips
from tests.support.server import Server

Speech = Callable[[float], Path]


def problem(response: httpx.Response, status: int, code: str) -> str:
    """Check a problem document; return its sentence."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["type"]) == (status, f"urn:mouthpiece:problem:{code}")
    assert "Traceback" not in response.text
    assert "/" + "tmp" not in response.text
    detail: str = body["detail"]
    assert detail.endswith((".", "?"))
    return detail


def leftovers(server: Server) -> set[str]:
    """Return what lies on the volumes beside the avatars and the records."""
    strays = {str(path) for path in (server.data_dir / "jobs").glob("*/upload")}
    return strays | {path.name for path in server.avatars_dir.glob(".*")}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(server: Server) -> Iterator[None]:
    render_pid, before = server.render_pid, {path.name for path in server.avatars_dir.glob("*")}
    yield
    server.wait(lambda: not leftovers(server))
    assert {path.name for path in server.avatars_dir.glob("*")} == before
    assert server.render_pid == render_pid
    assert server.client.get("/readyz").status_code == 200


def make(server: Server, content: bytes, **data: str) -> httpx.Response:
    return server.client.post("/v1/avatars", data=data, files={"video": ("x.mp4", content)})


def say(server: Server, anna: str, content: bytes, **data: str) -> httpx.Response:
    return server.client.post(anna, data=data, files={"audio": ("x.wav", content)})


def test_text_is_not_a_video(server: Server) -> None:
    problem(make(server, b"Dear Sir or Madam, " * 100), 415, "not-a-video")


def test_a_zip_by_the_name_of_a_picture_is_not_a_video(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "no picture")
    problem(make(server, path.read_bytes()), 415, "not-a-video")


def test_a_picture_of_nobody_has_no_face(server: Server) -> None:
    jpeg = cv2.imencode(".jpg", clips.portrait()[300:])[1].tobytes()
    assert "turned by 90" in problem(make(server, jpeg), 422, "no-face")


def test_sound_is_not_a_video(server: Server, speech: Speech) -> None:
    problem(make(server, speech(0.5).read_bytes()), 415, "not-a-video")


def test_a_video_without_sound_cannot_be_spoken(server: Server, anna: str, video: Path) -> None:
    problem(say(server, anna, video.read_bytes()), 422, "no-sound")


def test_text_is_not_audio(server: Server, anna: str) -> None:
    problem(say(server, anna, b"Dear Sir or Madam, " * 100), 415, "not-audio")


def test_an_empty_file_is_neither(server: Server, anna: str) -> None:
    problem(make(server, b""), 415, "not-a-video")
    problem(say(server, anna, b""), 415, "not-audio")


def test_a_truncated_video_is_refused(server: Server, video: Path) -> None:
    content = video.read_bytes()
    problem(make(server, content[: len(content) // 2]), 415, "not-a-video")


def test_sound_of_no_length_is_refused(server: Server, anna: str, tmp_path: Path) -> None:
    silence = clips.write_wav(tmp_path / "none.wav", np.zeros(0, np.float32))
    problem(say(server, anna, silence.read_bytes()), 422, "no-sound")


def test_a_video_without_a_face_is_refused(server: Server, tmp_path: Path) -> None:
    grey = [np.full((120, 160, 3), 90, np.uint8)] * 10
    problem(make(server, clips.write_video(tmp_path / "grey.mp4", grey).read_bytes()), 422, "no-face")


@pytest.fixture
def secret(tmp_path: Path, video: Path) -> Path:
    """A video on the server's disk that no caller may reach."""
    path = tmp_path / "secret.mp4"
    path.write_bytes(video.read_bytes())
    return path


@pytest.fixture
def honeypot() -> Iterator[tuple[str, list[str]]]:
    """A web server on loopback: its URL, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    web = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=web.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}/", asked
    web.shutdown()
    thread.join()
    web.server_close()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("form", PLAYLISTS)
def test_a_playlist_that_names_a_local_file_is_not_followed(
    server: Server, anna: str, secret: Path, form: str
) -> None:
    playlist = PLAYLISTS[form].format(secret).encode()
    problem(make(server, playlist), 415, "not-a-video")
    problem(say(server, anna, playlist), 415, "not-audio")


@pytest.mark.parametrize("form", PLAYLISTS)
def test_a_playlist_that_names_an_address_is_not_followed(
    server: Server, anna: str, honeypot: tuple[str, list[str]], form: str
) -> None:
    url, asked = honeypot
    playlist = PLAYLISTS[form].format(url + "a.mp4").encode()
    problem(make(server, playlist), 415, "not-a-video")
    problem(say(server, anna, playlist), 415, "not-audio")
    assert asked == []


def test_a_video_of_monstrous_size_is_refused_before_it_is_decoded(server: Server, tmp_path: Path) -> None:
    # The picture's size stands twice in a QuickTime header, as two 16-bit numbers.
    frame = np.full((64, 64, 3), 90, np.uint8)
    small = clips.write_video(tmp_path / "small.mov", [frame], codec="png", pix_fmt="rgb24", options={})
    before, after = ((side).to_bytes(2, "big") * 2 for side in (64, 20000))
    detail = problem(make(server, small.read_bytes().replace(before, after)), 413, "too-many-pixels")
    assert "20000" in detail


def test_a_video_longer_than_the_limit_is_refused(server: Server, tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), 90, np.uint8)] * 42
    path = clips.write_video(tmp_path / "long.mp4", frames, 2)
    problem(make(server, path.read_bytes()), 413, "media-too-long")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fps", "nan"),
        ("fps", "inf"),
        ("fps", "0"),
        ("fps", "-25"),
        ("fps", "1e999999999"),
        ("fps", "25/0"),
        ("fps", "121"),
        ("quality", "best"),
        ("mouth_offset_ms", "nan"),
        ("mouth_offset_ms", "-inf"),
        ("mouth_offset_ms", "1001"),
        ("start_frame", "-1"),
        ("start_frame", "1.5"),
        ("start_frame", "99999999999999999999"),
        ("loop", "Pingpong"),
        ("fps", "2" * 5000),
    ],
)
def test_a_bad_render_parameter_is_named(
    server: Server, anna: str, speech: Speech, name: str, value: str
) -> None:
    response = say(server, anna, speech(0.2).read_bytes(), **{name: value})
    assert name in problem(response, 422, "invalid-request")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smoothing", "nan"),
        ("smoothing", "-1"),
        ("smoothing", "9"),
        ("pads", "nan,0,0,0"),
        ("pads", "0,0,0"),
        ("pads", "0,0,0,0,0"),
        ("pads", "5,0,0,0"),
        ("pads", "a"),
        ("face", "10"),
        ("face", "tallest"),
    ],
)
def test_a_bad_avatar_parameter_is_named(server: Server, video: Path, name: str, value: str) -> None:
    response = make(server, video.read_bytes(), **{name: value})
    assert name in problem(response, 422, "invalid-request")


@pytest.mark.parametrize(
    "avatar_id",
    ["../up", "..", "a/b", "Anna", "änna", "аnna", "-a", "a b", "a" * 64, "a\x00b", "a\n", ".new-a-b"],
)
def test_an_id_that_is_none_is_refused(server: Server, video: Path, avatar_id: str) -> None:
    detail = problem(make(server, video.read_bytes(), id=avatar_id), 422, "invalid-request")
    assert detail.startswith("id: ")


@pytest.mark.parametrize(
    "avatar_id", ["%2e%2e", "..%2fdata", "%D0%B0nna", "a%00b", ".new-x", "ANNA", "a" * 300]
)
def test_an_id_that_is_none_is_not_found(server: Server, speech: Speech, avatar_id: str) -> None:
    files = {"audio": speech(0.2).read_bytes()}
    for response in (
        server.client.get(f"/v1/avatars/{avatar_id}"),
        server.client.get(f"/v1/avatars/{avatar_id}/preview.jpg"),
        server.client.delete(f"/v1/avatars/{avatar_id}"),
        server.client.post(f"/v1/avatars/{avatar_id}/renders", files=files),
        server.client.get(f"/v1/jobs/{avatar_id}"),
        server.client.delete(f"/v1/jobs/{avatar_id}"),
        server.client.get(f"/v1/jobs/{avatar_id}/video"),
        server.client.get(f"/v1/jobs/{avatar_id}/events"),
    ):
        assert response.status_code in (404, 405), response.text
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=-1", "cursor=99999999999999999999", "state=x", "avatar=.."],
)
def test_a_bad_list_parameter_is_named(server: Server, query: str) -> None:
    detail = problem(server.client.get(f"/v1/jobs?{query}"), 422, "invalid-request")
    assert detail.startswith(query.split("=")[0])
    assert ("such as 'anna-2'" in detail) == query.startswith("avatar")


def test_a_filename_is_kept_as_a_name_and_never_used_as_a_path(server: Server, video: Path) -> None:
    files = {"video": ("../../etc/passwd", video.read_bytes())}
    response = server.client.post("/v1/avatars", data={"id": "path"}, files=files)
    assert response.json()["source"]["filename"] == "passwd"
    server.client.delete("/v1/avatars/path")


def test_an_upload_beyond_the_limit_is_refused_by_its_announced_length(server: Server, anna: str) -> None:
    problem(say(server, anna, bytes(3_200_000)), 413, "upload-too-large")


def test_an_upload_beyond_the_limit_is_refused_while_it_comes_in(server: Server, anna: str) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
        for _ in range(60):
            yield bytes(65536)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(server.client.post(anna, content=body(), headers=headers), 413, "upload-too-large")


FORMS = {
    "no boundary": ("multipart/form-data", b"x"),
    "an overlong boundary": ("multipart/form-data; boundary=" + "x" * 300, b"x"),
    "no form": ("multipart/form-data; boundary=x", b""),
    "no end": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="audio"\r\n\r\nab',
    ),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nab\r\n--x--\r\n"),
    "no file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="fps"\r\n\r\n25\r\n--x--\r\n',
    ),
    "two files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="audio"\r\n\r\na\r\n' * 2 + b"--x--\r\n",
    ),
    "no text": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="fps"\r\n\r\n\xff\xfe\r\n--x--\r\n',
    ),
    "nonsense": ("multipart/form-data; boundary=x", b"\x00\x01\x02" * 100),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_malformed_form_is_refused(server: Server, anna: str, form: str) -> None:
    kind, content = FORMS[form]
    response = server.client.post(anna, content=content, headers={"Content-Type": kind})
    if form == "no boundary":
        problem(response, 415, "unsupported-media")
    else:
        problem(response, 422, "invalid-request")


def test_another_kind_of_body_is_refused(server: Server, anna: str) -> None:
    response = server.client.post(anna, content=b"{}", headers={"Content-Type": "text/plain"})
    problem(response, 415, "unsupported-media")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_that_names_no_file_is_refused(server: Server, anna: str, kind: str) -> None:
    response = server.client.post(anna, content=b"{}", headers={"Content-Type": kind})
    problem(response, 422, "invalid-request")


def test_a_raw_body_that_is_no_sound_is_refused(server: Server, anna: str) -> None:
    response = server.client.post(anna, content=b"{}", headers={"Content-Type": "audio/wav"})
    problem(response, 415, "not-audio")


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotate", "45"), ("rotate", "left"), ("background", "red"), ("background", "http://x/a.png")],
)
def test_a_bad_treatment_is_named(server: Server, video: Path, name: str, value: str) -> None:
    detail = problem(make(server, video.read_bytes(), **{name: value}), 422, "invalid-request")
    assert name in detail or "turned" in detail


def test_a_body_cut_off_half_way_leaves_nothing(server: Server, anna: str) -> None:
    before = server.client.get("/v1/jobs").json()["jobs"][0]["id"]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            f"POST {anna} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "Content-Length: 4000000\r\n\r\n--x\r\n"
            'Content-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'.encode()
            + bytes(2 * WRITE_BYTES)
        )
        server.wait(lambda: leftovers(server))
    server.wait(lambda: not leftovers(server))
    assert server.client.get("/v1/jobs").json()["jobs"][0]["id"] == before


def test_an_unknown_address_and_method_are_problem_documents(server: Server) -> None:
    problem(server.client.get("/v1/nothing"), 404, "not-found")
    response = server.client.put("/v1/avatars")
    assert (response.status_code, response.json()["title"]) == (405, "Method Not Allowed")
    assert response.headers["content-type"] == "application/problem+json"
    assert "GET" in response.headers["allow"]
