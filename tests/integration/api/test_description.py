"""``/openapi.json`` says what the service does: what may be sent, and every answer that may come."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.avatars.store import AvatarStore
from tests.integration.api.conftest import Start
from tests.support.avatars import made_up_manifest, put_made_up

pytestmark = pytest.mark.anyio

UPLOADS = {"/v1/avatars": "background", "/v1/avatars/{avatar_id}/renders": "voice", "/v1/renders": "voice"}
"""The calls that take files, each with a name that is a file and a field there."""
RAW_TYPES = {
    "audio/*",
    "video/*",
    "image/*",
    "application/octet-stream",
    "application/ogg",
    "application/mp4",
}


async def described(start: Start, **settings: Any) -> dict[str, Any]:
    document: dict[str, Any] = (await (await start(**settings)).get("/openapi.json")).json()
    return document


def calls_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Return each call: method, path, and what is said of it."""
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            yield method, path, call


def codes(call: Mapping[str, Any]) -> dict[str, str]:
    """Return the problems that a call may be answered with, each with its status."""
    said = {status: answer["description"] for status, answer in call["responses"].items()}
    return {code: status for status, text in said.items() for code in re.findall(r"\(`([a-z-]+)`\)", text)}


def is_binary(schema: Mapping[str, Any]) -> bool:
    return schema.get("contentMediaType") == "application/octet-stream"


@pytest.mark.parametrize(("path", "name"), [*UPLOADS.items(), ("/v1/renders", "background")])
async def test_a_name_that_is_a_field_and_a_file_is_both_in_a_form(
    path: str, name: str, start: Start
) -> None:
    content = (await described(start))["paths"][path]["post"]["requestBody"]["content"]
    field, file = content["multipart/form-data"]["schema"]["properties"][name]["anyOf"]
    assert field["type"] == "string"
    assert not is_binary(field)
    assert is_binary(file)
    for plain in ("application/json", "application/x-www-form-urlencoded"):
        assert field.items() <= content[plain]["schema"]["properties"][name].items()


async def test_every_call_says_what_any_request_may_be_refused_with(start: Start) -> None:
    document = await described(start, compat="replicate,fal,sync,duix")
    for method, path, call in calls_of(document):
        wanted = {"unknown-host": "421", "too-busy": "503", "shutting-down": "503"}
        wanted |= {} if method == "get" else {"foreign-origin": "403"}
        assert wanted.items() <= codes(call).items(), (method, path)
        assert ("403" in call["responses"]) is (method != "get")
        for status in wanted.values():
            assert "application/problem+json" in call["responses"][status]["content"], (method, path)


async def test_no_status_hides_a_problem_that_has_the_same(start: Start) -> None:
    document = await described(start, compat="replicate,fal,sync,duix", api_keys="sesame")
    paths = document["paths"]
    assert codes(paths["/v1/webhooks/test"]["post"]).keys() >= {"invalid-request", "address-refused"}
    for method, path, call in calls_of(document):
        if path.startswith("/v1/"):
            assert codes(call).keys() >= {"unauthorized", "invalid-request", "internal-error"}, path
        if path.startswith("/v1/avatars") and "{" in path and method != "delete":
            assert "avatar-damaged" in codes(call), (method, path)
        if path.startswith("/v1/jobs"):
            assert codes(call).keys() >= {"not-ready", "too-busy"}, (method, path)
        works = path in ("/metrics", "/fal/queue/{owner}/{alias}/requests/{request_id}/status")
        if works or path.startswith(("/v1/avatars", "/v1/jobs", "/v1/predictions", "/outputs")):
            assert "unavailable" in codes(call), (method, path)
    for name in ("video", "report", "sheet.jpg"):
        assert {"not-found", "job-not-found"} <= codes(paths[f"/v1/jobs/{{job_id}}/{name}"]["get"]).keys()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for _, _, call in calls_of(document):
        for answer in call["responses"].values():
            told = answer["description"].split("; ")
            assert len(set(told)) == len(told)


async def test_what_can_be_sent_again_later_says_when(start: Start) -> None:
    for _, path, call in calls_of(await described(start)):
        for status in {"503", "507"} & call["responses"].keys():
            assert "Retry-After" in call["responses"][status]["headers"], path


async def test_the_headers_of_what_is_made_are_described(start: Start) -> None:
    paths = (await described(start, api_keys="sesame"))["paths"]
    for path in UPLOADS:
        answers = paths[path]["post"]["responses"]
        assert {"Location", "Content-Location", "Preference-Applied"} <= answers["202"]["headers"].keys()
        assert "Content-Location" in answers["200"]["headers"]
        assert "WWW-Authenticate" in answers["401"]["headers"]
    assert {"Location", "Content-Location"} <= paths["/v1/avatars"]["post"]["responses"]["201"][
        "headers"
    ].keys()
    video = paths["/v1/jobs/{job_id}/video"]["get"]["responses"]
    assert {"Content-Location", "ETag"} <= video["200"]["headers"].keys()
    assert {"Content-Location", "ETag", "Content-Range"} <= video["206"]["headers"].keys()
    assert "Content-Range" in video["416"]["headers"]


async def test_each_file_says_how_ranges_of_it_are_answered(start: Start) -> None:
    paths = (await described(start, compat="replicate"))["paths"]
    parts = {"Accept-Ranges", "ETag", "Last-Modified"}
    for path in (
        "/v1/avatars/{avatar_id}/preview.jpg",
        "/v1/jobs/{job_id}/report",
        "/v1/jobs/{job_id}/sheet.jpg",
        "/v1/jobs/{job_id}/video",
        "/outputs/{job_id}.{form}",
    ):
        answers = paths[path]["get"]["responses"]
        assert answers["200"]["content"].keys() == answers["206"]["content"].keys(), path
        assert parts <= answers["200"]["headers"].keys() & answers["304"]["headers"].keys(), path
        assert parts | {"Content-Range"} <= answers["206"]["headers"].keys(), path
        assert "Content-Range" in answers["416"]["headers"], path


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_raw_body_may_have_every_type_that_is_taken(path: str, start: Start, tmp_path: Path) -> None:
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))
    client = await start()
    named = {"avatar": "anna"} if path == "/v1/renders" else {}
    content = (await client.get("/openapi.json")).json()["paths"][path]["post"]["requestBody"]["content"]
    forms = {"multipart/form-data", "application/json", "application/x-www-form-urlencoded"}
    assert content.keys() == RAW_TYPES | forms
    for kind in content.keys() - forms:
        sent = kind.replace("*", "strange")
        answer = await client.post(
            path.format(avatar_id="anna"),
            params=named,
            content=b"f",
            headers={"Content-Type": sent, "Prefer": "respond-async"},
        )
        assert answer.status_code == 202, (kind, answer.text)


async def test_a_render_in_one_call_says_that_it_needs_somebody_who_speaks(start: Start) -> None:
    content = (await described(start))["paths"]["/v1/renders"]["post"]["requestBody"]["content"]
    for kind, names in (
        ("multipart/form-data", ["video", "video_url", "avatar"]),
        ("application/json", ["video_url", "avatar"]),
    ):
        either = [{"required": [name]} for name in names]
        assert {"oneOf": either} in content[kind]["schema"]["allOf"]


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_form_that_is_filled_in_from_the_description_has_defaults_and_nothing_else(
    path: str, start: Start
) -> None:
    """As the one at ``/docs`` is, which makes a value up where there is neither a default nor an example."""
    content = (await described(start))["paths"][path]["post"]["requestBody"]["content"]
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        for name, field in content[kind]["schema"]["properties"].items():
            assert is_binary(field) or "default" in field or field["examples"] == [""], name
    example = content["application/json"]["example"]
    for needed in content["application/json"]["schema"]["allOf"]:
        assert sum(each["required"][0] in example for each in needed["oneOf"]) == 1


async def test_calls_of_ours_are_named_in_short_for_clients_that_are_generated(start: Start) -> None:
    document = await described(start, compat="replicate,fal,sync,duix")
    calls = list(calls_of(document))
    named = {call["operationId"]: path for _, path, call in calls if not call["tags"][0].startswith("compat")}
    assert named["create_avatar"] == "/v1/avatars"
    assert named["get_info"] == "/v1/info"
    assert [name for name in named if not re.fullmatch("[a-z]+(_[a-z]+){0,3}", name)] == []
    assert len({call["operationId"] for _, _, call in calls}) == len(calls)


async def test_everything_is_described(start: Start) -> None:
    document = await described(start, compat="replicate,fal,sync,duix")
    assert {"license", "summary"} <= document["info"].keys()
    assert document["servers"]
    bare = [
        f"{title}.{name}"
        for title, schema in document["components"]["schemas"].items()
        for name, field in schema.get("properties", {}).items()
        if not field.keys() & {"description", "$ref"}  # what is referred to is described itself
    ]
    bare += [
        title for title, schema in document["components"]["schemas"].items() if not schema["description"]
    ]
    for method, path, call in calls_of(document):
        schemas = [each["schema"] for each in call.get("requestBody", {}).get("content", {}).values()]
        fields = [item for schema in schemas for item in schema.get("properties", {}).items()]
        fields += [(each["name"], each) for each in call.get("parameters", [])]
        bare += [f"{method} {path} {name}" for name, field in fields if not field.get("description")]
        assert re.fullmatch(r"[A-Z].*[^.:]", call["summary"]), path
    assert bare == []


async def test_a_turn_is_a_word_with_a_default(start: Start) -> None:
    content = (await described(start))["paths"]["/v1/avatars"]["post"]["requestBody"]["content"]
    for kind in ("multipart/form-data", "application/json"):
        turn = content[kind]["schema"]["properties"]["rotate"]
        assert (turn["type"], turn["default"]) == ("string", "auto")
        assert turn["enum"] == ["auto", "0", "90", "180", "270"]


async def test_a_frame_rate_is_a_number_or_a_fraction(start: Start) -> None:
    content = (await described(start))["paths"]["/v1/renders"]["post"]["requestBody"]["content"]
    number, fraction = content["application/json"]["schema"]["properties"]["fps"]["anyOf"]
    assert number == {"type": "number", "minimum": 1, "maximum": 120}
    assert fraction["type"] == "string"
