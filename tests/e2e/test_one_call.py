"""A video and a sound in one call: an avatar is made of the video, once, and a video rendered with it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from app.avatars.crops import BOXES, LANDMARKS
from app.avatars.manifest import Manifest
from app.avatars.store import FRAMES, MANIFEST, SOURCE
from app.mouths.study import STUDY
from tests.support import clips
from tests.support.server import Server
from tests.support.videos import decode

Speech = Callable[[float], Path]
ASYNC = {"Prefer": "respond-async"}


def post(
    server: Server, video: Path | None, audio: Path, query: str = "", headers: Any = None, **data: str
) -> httpx.Response:
    files = {"audio": (audio.name, audio.read_bytes())}
    if video:
        files["video"] = (video.name, video.read_bytes())
    data = {"quality": "draft"} | data
    return server.client.post(f"/v1/renders{query}", data=data, files=files, headers=headers)


def job_of(server: Server, answer: httpx.Response) -> Any:
    """Return the job that made an answer, once it has ended."""
    return server.outcome(answer.headers["content-location"].rsplit("/", 1)[1])


def implicit(server: Server) -> list[Any]:
    avatars: list[Any] = server.client.get("/v1/avatars?implicit=true").json()["avatars"]
    return [avatar for avatar in avatars if avatar["implicit"]]


@pytest.fixture(scope="module")
def ben(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that no other test has made an avatar of."""
    return clips.talking_head(tmp_path_factory.mktemp("one-call") / "ben.mp4", 1.2, width=256)


def test_a_video_is_prepared_once_however_the_answer_is_asked_for(
    server: Server, ben: Path, speech: Speech, tmp_path: Path
) -> None:
    before = implicit(server)
    whole = post(server, ben, speech(0.4))
    assert whole.status_code == 200, whole.text
    (tmp_path / "whole.mp4").write_bytes(whole.content)
    pictures = decode(tmp_path / "whole.mp4").frames
    assert len(pictures) == 10
    first = job_of(server, whole)
    assert (first["kind"], first["filename"], first["video_filename"]) == ("render", "0.4.wav", "ben.mp4")
    assert first["progress"]["frames_total"] == 30 + 10

    streamed = post(server, ben, speech(0.4), "?stream=true")
    (tmp_path / "streamed.mp4").write_bytes(streamed.content)
    assert np.array_equal(decode(tmp_path / "streamed.mp4").frames, pictures)
    later = server.outcome(post(server, ben, speech(0.4), headers=ASYNC).json()["id"])
    assert server.client.get(later["links"]["video"]).content == whole.content
    for job in (job_of(server, streamed), later):
        assert job["progress"]["frames_total"] == 10
        assert job["avatar_id"] == first["avatar_id"]

    (avatar,) = [avatar for avatar in implicit(server) if avatar not in before]
    assert (avatar["id"], avatar["source"]["filename"]) == (first["avatar_id"], "ben.mp4")
    assert not any(each["implicit"] for each in server.client.get("/v1/avatars").json()["avatars"])
    assert server.client.get(avatar["links"]["preview"]).status_code == 200


def test_another_way_of_making_the_avatar_makes_another(server: Server, ben: Path, speech: Speech) -> None:
    plain, same, wider = (
        job_of(server, post(server, ben, speech(0.2), **given))["avatar_id"]
        for given in ({}, {"fps": "30", "face": "largest"}, {"pads": "0,0.2,0,0"})
    )
    assert plain == same != wider


@pytest.fixture(scope="module")
def first(server: Server, ben: Path, speech: Speech) -> httpx.Response:
    """What ben says in a fifth of a second."""
    return post(server, ben, speech(0.2))


@pytest.mark.parametrize("name", [MANIFEST, SOURCE, BOXES, LANDMARKS, STUDY, FRAMES])
@pytest.mark.parametrize("damage", ["gone", "other"])
def test_an_avatar_that_is_damaged_is_mended_by_the_next_call(
    server: Server, ben: Path, speech: Speech, first: httpx.Response, name: str, damage: str
) -> None:
    path = server.avatars_dir / job_of(server, first)["avatar_id"] / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"not what it was")

    again = post(server, ben, speech(0.2))

    assert again.status_code == 200, again.text
    assert again.content == first.content
    assert not list(server.avatars_dir.glob(".*"))


def test_requests_at_one_time_share_the_preparation(server: Server, speech: Speech, tmp_path: Path) -> None:
    video, sound = clips.talking_head(tmp_path / "carla.mp4", 0.8, width=288), speech(0.2)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: post(server, video, sound), range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    totals = sorted(job_of(server, answer)["progress"]["frames_total"] for answer in answers)
    assert totals == [5, 5, 25]


def test_an_avatar_can_be_named_instead(server: Server, anna: str, speech: Speech) -> None:
    answer = post(server, None, speech(0.2), avatar="anna", face="left")
    assert answer.status_code == 200, answer.text
    job = job_of(server, answer)
    assert (job["avatar_id"], job["video_filename"]) == ("anna", None)
    (warning,) = job["warnings"]
    assert (warning["code"], "face" in warning["detail"]) == ("unknown-fields", True)
    raw = server.client.post(
        "/v1/renders?avatar=anna&quality=draft",
        content=speech(0.2).read_bytes(),
        headers={"Content-Type": "audio/wav"},
    )
    assert raw.content == answer.content


def test_a_photo_will_do(server: Server, speech: Speech, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), clips.portrait())
    (tmp_path / "photo.mp4").write_bytes(post(server, photo, speech(0.2)).content)
    assert len(decode(tmp_path / "photo.mp4").frames) == 5


@pytest.mark.parametrize(
    ("given", "status", "code", "words"),
    [
        ({"video": "video", "audio": "text"}, 415, "not-audio", ""),
        ({"video": "text", "audio": "sound"}, 415, "not-a-video", ""),
        ({"video": "faceless", "audio": "sound"}, 422, "no-face", ""),
        ({"audio": "sound"}, 422, "invalid-request", "either a 'video' or the id of an 'avatar'"),
        ({"video": "video", "audio": "sound", "avatar": "anna"}, 422, "invalid-request", "not both"),
        ({"video": "empty", "audio": "sound", "avatar": "anna"}, 422, "invalid-request", "not both"),
        ({"video": "video", "audio": "empty", "text": "Hi."}, 422, "invalid-request", "not both"),
        ({"video": "video"}, 422, "invalid-request", "lacks the file 'audio'"),
        ({"audio": "sound", "avatar": "nobody"}, 404, "avatar-not-found", "nobody"),
        ({"audio": "sound", "avatar": "../anna"}, 404, "avatar-not-found", ""),
        ({"video": "video", "audio": "sound", "fps": "0"}, 422, "invalid-request", "fps"),
        ({"video": "video", "audio": "sound", "pads": "9"}, 422, "invalid-request", "pads"),
        ({"video": "huge", "audio": "sound"}, 413, "upload-too-large", ""),
        ({"video": "long", "audio": "sound"}, 413, "media-too-long", ""),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_nothing_is_stored(
    server: Server, anna: str, speech: Speech, tmp_path: Path, given: dict[str, str], status: int, code: str,
    words: str,
) -> None:  # fmt: skip
    contents: dict[str, Callable[[], bytes]] = {
        "video": lambda: clips.talking_head(tmp_path / "v.mp4", 0.52, width=264).read_bytes(),
        "sound": lambda: speech(0.2).read_bytes(),
        "empty": lambda: b"",
        "text": lambda: b"Dear Sir or Madam, " * 50,
        "huge": lambda: b"\0" * 3_000_001,
        "long": lambda: clips.talking_head(tmp_path / "l.mp4", 22.0, 5, 64, 64).read_bytes(),
        "faceless": lambda: clips.write_video(
            tmp_path / "n.mp4", [clips.portrait()[300:460, 0:160] // 2] * 5
        ).read_bytes(),
    }
    files: dict[str, tuple[str, bytes]] = {
        name: (name, contents[given[name]]()) for name in ("video", "audio") if name in given
    }
    data = {name: value for name, value in given.items() if name not in files}
    before, jobs = implicit(server), set((server.data_dir / "jobs").iterdir())

    answer = server.client.post("/v1/renders", data=data, files=files)

    assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[1]) == (status, code), answer.text
    assert words in answer.json()["detail"]
    assert implicit(server) == before
    server.wait(lambda: set((server.data_dir / "jobs").iterdir()) <= jobs)


def test_an_avatar_that_somebody_gave_such_an_id_is_not_taken_for_it(
    server: Server, speech: Speech, tmp_path: Path
) -> None:
    video = clips.talking_head(tmp_path / "dora.mp4", 0.6, width=272)
    avatar_id = job_of(server, post(server, video, speech(0.2)))["avatar_id"]
    manifest = server.avatars_dir / avatar_id / "avatar.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"implicit": False}))
    assert not Manifest.read(manifest).implicit
    answer = post(server, video, speech(0.2))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:mouthpiece:problem:avatar-exists")
    assert server.client.delete(f"/v1/avatars/{avatar_id}").status_code == 204
    assert post(server, video, speech(0.2)).status_code == 200
