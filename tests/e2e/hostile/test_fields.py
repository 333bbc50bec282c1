"""Fields, ids and addresses that mean nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.hostile.sending import make, problem, say
from tests.support.server import Server

Speech = Callable[[float], Path]


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotate", "45"), ("rotate", "left"), ("background", "red"), ("background", "http://x/a.png")],
)
def test_a_bad_treatment_is_named(server: Server, video: Path, name: str, value: str) -> None:
    detail = problem(make(server, video.read_bytes(), **{name: value}), 422, "invalid-request")
    assert name in detail or "turned" in detail


def test_an_unknown_address_and_method_are_problem_documents(server: Server) -> None:
    problem(server.client.get("/v1/nothing"), 404, "not-found")
    response = server.client.put("/v1/avatars")
    assert (response.status_code, response.json()["title"]) == (405, "Method Not Allowed")
    assert response.headers["content-type"] == "application/problem+json"
    assert "GET" in response.headers["allow"]
