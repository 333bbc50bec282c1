"""Each option is written once, and is then in forms, JSON, queries, commands, records and documentation."""

import json
import sqlite3
from collections.abc import Iterator
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
    with closing(sqlite3.connect(tmp_path / "data" / "jobs.sqlite3")) as database:
        (params,) = database.execute("SELECT params FROM jobs WHERE id = ?", [answer.json()["id"]]).fetchone()
    record: dict[str, Any] = json.loads(params)
    return record


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
                assert described["description"] == help_of(option.kind)[option.name]


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_the_documentation_has_it(option: Option) -> None:
    assert f"`{option.name}`" in (DOCS / "api.md").read_text()
