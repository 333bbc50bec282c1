"""Each option is written once, and is then in forms, JSON, queries, commands, records and documentation."""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import pytest
import typer.main

from app.avatars.options import AvatarOptions
from app.avatars.store import AvatarStore
from app.cli import app as command_line
from app.errors import InvalidRequest
from app.options import help_of, plain, read
from app.rendering.options import RenderOptions
from tests.integration.api.conftest import Start
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.neighbour import Neighbour

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[3] / "docs"
TEXTS = ("0.5", "2", "90", "30", "0.2-0.4", "0,0.1,0,0", "left", "blur", "true")
"""Among these there is one that each option takes, if it is no choice of words."""


@dataclass(frozen=True)
class Option:
    kind: type[Any]
    name: str

    def text(self) -> str:
        """Return what a form may have for it, other than its default."""
        for text in (*map(str, _words(get_type_hints(self.kind)[self.name])), *TEXTS):
            try:
                if read(self.kind, {self.name: text}) != self.kind():
                    return text
            except InvalidRequest:
                continue
        raise AssertionError(f"no text for {self.name}: add one to TEXTS")


def _words(hint: Any) -> Iterator[Any]:
    for each in get_args(hint):
        yield from ([each] if isinstance(each, str | int) else _words(each))


OPTIONS = [Option(kind, field.name) for kind in (AvatarOptions, RenderOptions) for field in fields(kind)]
NAMES = [option.name for option in OPTIONS]
CALLS = {AvatarOptions: "/v1/avatars", RenderOptions: "/v1/avatars/{avatar_id}/renders"}
COMMANDS = {AvatarOptions: ["avatar", "add"], RenderOptions: ["render"]}
FILES = {AvatarOptions: "video", RenderOptions: "audio"}
REFUSED = "!!"
"""What no option takes."""
ADAPTED = {
    "replicate": "/v1/predictions",
    "fal": "/fal/queue/a/b",
    "sync": "/v2/generate",
    "duix": "/easy/submit",
}
"""Where each adapter takes the request for a render."""


def test_no_option_is_of_both() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
async def test_whichever_way_it_comes_it_is_in_the_record(
    option: Option, start: Start, tmp_path: Path
) -> None:
    client = await start()
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest())
    path = CALLS[option.kind].format(avatar_id="anna")
    text, file = option.text(), FILES[option.kind]
    given = {option.name: text}
    later = {"Prefer": "respond-async"}
    for call in (path, "/v1/renders"):
        files = {"video": b"v", "audio": b"a"} if call == "/v1/renders" else {file: b"file"}
        data = {f"{name}_url": f"data:,{body.decode()}" for name, body in files.items()}
        answers = [
            await client.post(call, files=files, data=given, headers=later),
            await client.post(call, json=data | given, headers=later),
        ]
        if call == path:
            raw = later | {"Content-Type": "application/octet-stream"}
            answers.append(await client.post(call, content=b"file", params=given, headers=raw))
        for answer in answers:
            record = _record(tmp_path, answer)
            assert read(option.kind, record) == read(option.kind, given)
            assert plain(read(option.kind, record)) == {name: record[name] for name in plain(option.kind())}


def _record(tmp_path: Path, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    return _records(tmp_path)[answer.json()["id"]]


def _records(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Return what the table has of each job."""
    with closing(sqlite3.connect(tmp_path / "data" / "jobs.sqlite3")) as database:
        rows = database.execute("SELECT id, params FROM jobs").fetchall()
    return {job_id: json.loads(params) for job_id, params in rows}


@pytest.mark.parametrize("api", ADAPTED)
async def test_clients_of_other_services_have_every_option_and_its_limits(
    api: str, start: Start, tmp_path: Path
) -> None:
    with Neighbour(files={"/video": b"v", "/audio": b"a"}).open() as neighbour:
        client = await start(compat=api, fetch=f"127.0.0.1:{neighbour.port}")
        for option in OPTIONS:
            before = _records(tmp_path).keys()
            given = {option.name: option.text()}
            answer = await client.post(ADAPTED[api], json=_as_adapted(api, neighbour.url, option.name, given))
            assert answer.is_success, answer.text
            (job_id,) = _records(tmp_path).keys() - before
            record = _records(tmp_path)[job_id]
            assert read(option.kind, record) == read(option.kind, given)
            assert plain(read(option.kind, record)) == {name: record[name] for name in plain(option.kind())}

            wrong = {option.name: REFUSED}
            with pytest.raises(InvalidRequest) as refusal:
                read(option.kind, wrong)
            answer = await client.post(ADAPTED[api], json=_as_adapted(api, neighbour.url, "wrong", wrong))
            said = " ".join(map(str, answer.json().values()))
            assert refusal.value.detail in said


def _as_adapted(api: str, files: str, name: str, given: dict[str, str]) -> dict[str, Any]:
    """Return a body as clients of ``api`` send it; ``name`` is the id where they give one."""
    video, audio = f"{files}/video", f"{files}/audio"
    match api:
        case "replicate":
            return {"input": {"video": video, "audio": audio} | given}
        case "sync":
            return {"input": [{"type": "video", "url": video}, {"type": "audio", "url": audio}]} | given
        case "duix":
            return {"code": name, "video_url": video, "audio_url": audio} | given
    return {"video_url": video, "audio_url": audio} | given


@pytest.mark.parametrize("api", ADAPTED)
async def test_an_adapter_describes_no_option_again(api: str, start: Start) -> None:
    document = (await (await start(compat=api)).get("/openapi.json")).json()
    call = document["paths"][ADAPTED[api].replace("/a/b", "/{owner}/{alias}")]["post"]
    schema = call["requestBody"]["content"]["application/json"]["schema"]
    assert not set(NAMES) & _fields(schema)
    assert not [option.name for option in OPTIONS if help_of(option.kind)[option.name] in json.dumps(schema)]


def _fields(schema: Mapping[str, Any]) -> set[str]:
    """Return the names of all fields that a schema describes."""
    fields: Mapping[str, Any] = schema.get("properties", {})
    return set(fields).union(*map(_fields, fields.values()))


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_the_command_line_has_it_with_the_same_help_and_default(option: Option) -> None:
    command: Any = typer.main.get_command(command_line)
    for name in COMMANDS[option.kind]:
        command = command.commands[name]
    for each in (command, typer.main.get_command(command_line).commands["dub"]):  # type: ignore[attr-defined]
        (found,) = (parameter for parameter in each.params if parameter.name == option.name)
        assert found.help == help_of(option.kind)[option.name].replace("`", "")
        assert read(option.kind, {option.name: found.default}) == option.kind()


async def test_the_contract_has_every_option_in_form_and_json(start: Start) -> None:
    document = (await (await start()).get("/openapi.json")).json()
    for option in OPTIONS:
        for path in (CALLS[option.kind], "/v1/renders"):
            call = document["paths"][path]["post"]
            for media in ("multipart/form-data", "application/json"):
                (described,) = (
                    schema["properties"][option.name]
                    for schema in [call["requestBody"]["content"][media]["schema"]]
                )
                told = described["description"]
                assert told.partition(" Or a file: ")[0] == help_of(option.kind)[option.name]


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_the_documentation_has_it_with_an_example(option: Option) -> None:
    page = (DOCS / "api.md").read_text()
    assert re.search(rf"^\|.*`{option.name}`.*\|", page, re.MULTILINE)
    commands = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))  # tests run them
    assert f"{option.name}=" in commands
