"""Files that are not what they should be."""

import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest

from tests.e2e.hostile.sending import make, problem, say
from tests.support import bombs, clips
from tests.support.server import Server

Speech = Callable[[float], Path]


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


def test_a_song_with_a_large_cover_is_spoken(server: Server, anna: str, tmp_path: Path) -> None:
    assert say(server, anna, bombs.song(tmp_path).read_bytes()).status_code == 200


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


def test_a_raw_body_that_is_no_sound_is_refused(server: Server, anna: str) -> None:
    response = server.client.post(anna, content=b"{}", headers={"Content-Type": "audio/wav"})
    problem(response, 415, "not-audio")
