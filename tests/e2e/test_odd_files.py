"""A folder, or another odd thing, in the place of a file of an avatar or of a job: said in plain words."""

import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import httpx
import pytest

from app.mouths.study import STUDY
from tests.support.oddities import ODDITIES, put_odd
from tests.support.server import Server

Speech = Callable[[float], Path]

DAMAGED = "urn:mouthpiece:problem:avatar-damaged"


def put_copy(server: Server, avatar_id: str) -> Path:
    """Put another avatar like anna on the volume."""
    folder = server.avatars_dir / avatar_id
    shutil.copytree(server.avatars_dir / "anna", folder)
    manifest = json.loads((folder / "avatar.json").read_text())
    (folder / "avatar.json").write_text(json.dumps(manifest | {"id": avatar_id}))
    return folder


def check_plain(answer: httpx.Response) -> None:
    """An answer is what was asked for, or a problem that was foreseen."""
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert not answer.json()["type"].endswith(":internal-error")
        assert "Errno" not in answer.text


@pytest.mark.parametrize(
    ("name", "renders"),
    [
        (STUDY, True),
        ("frames.i420", True),
        ("preview.jpg", True),
        ("source.mp4", False),
        ("landmarks.npy", False),
        ("coords.npy", False),
        ("avatar.json", False),
    ],
)
def test_an_avatar_with_something_odd_among_its_files_is_rendered_or_damaged(
    server: Server, anna: str, speech: Speech, name: str, renders: bool
) -> None:
    for oddity in ODDITIES:
        if (name, oddity) == ("preview.jpg", "pipe"):
            continue  # that is a volume that hangs
        folder = put_copy(server, "odd")
        put_odd(folder / name, oddity)
        form = {"quality": "draft", "keep_sound": "0.5"}
        answer = server.client.post(
            "/v1/avatars/odd/renders", data=form, files={"audio": speech(0.2).read_bytes()}
        )
        check_plain(answer)
        assert answer.status_code == 200 if renders else answer.json()["type"] == DAMAGED
        assert renders or "'odd'" in answer.json()["detail"]
        for address in ("/v1/avatars", "/v1/avatars/odd", "/v1/avatars/odd/preview.jpg", "/metrics"):
            check_plain(server.client.get(address))
        assert server.client.delete("/v1/avatars/odd").status_code == 204


SENT, KEPT = ("upload",), ("plan.json", "sound.json", "track.s16", "speech.f32", "stages.jsonl")
MADE = ("result.mp4", "report.json", "sheet.jpg")
CASES = [*product((*SENT, *KEPT, *MADE), ("folder", "loop")), ("segments", "file")]


def test_a_render_with_something_odd_among_its_files_succeeds_or_fails_for_a_reason_that_is_told(
    server: Server, anna: str, speech: Speech
) -> None:
    content, told = speech(0.2).read_bytes(), set()
    for name, oddity in CASES:
        with server.worker_stopped():
            answer = server.client.post(
                anna,
                data={"quality": "draft"},
                files={"audio": content},
                headers={"Prefer": "respond-async"},
            )
            job_id = answer.json()["id"]
            path = server.data_dir / "jobs" / job_id / name
            path.write_bytes(b"") if oddity == "file" else put_odd(path, oddity)
        job = server.outcome(job_id)
        assert job["state"] == "succeeded" or not job["error"]["type"].endswith(":internal-error"), (
            name,
            job,
        )
        assert "Errno" not in json.dumps(job)
        assert job["error"] is None or repr(name) in job["error"]["detail"]
        told.add(job["error"] and job["error"]["type"].rsplit(":", 1)[1])
        for part in ("video", "report", "sheet.jpg"):
            check_plain(server.client.get(f"/v1/jobs/{job_id}/{part}"))
        server.client.delete(f"/v1/jobs/{job_id}")
    assert {None, "storage-damaged"} <= told
