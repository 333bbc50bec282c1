"""The page for agents: it says of each call what the API's description says."""

import re

import pytest

from app.api.llms import page
from tests.integration.api.conftest import Start

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("compat", ["", "replicate,fal,sync,duix"])
async def test_the_page_has_every_call_and_every_field_of_it(start: Start, compat: str) -> None:
    client = await start(compat=compat)
    answer = await client.get("/llms.txt")
    assert answer.headers["content-type"].startswith("text/plain")
    text, document = answer.text, (await client.get("/openapi.json")).json()
    told = re.findall(r"^- `([A-Z]+) (\S+)`: (\S.*)$", text, re.MULTILINE)
    there = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    assert {(method, path) for method, path, _ in told} == there
    for path, calls in document["paths"].items():
        for call in calls.values():
            content = call.get("requestBody", {"content": {}})["content"].get("multipart/form-data")
            for name in content["schema"]["properties"] if content else ():
                assert f"\n  - `{name}`" in text, (path, name)
    assert "  - `quality` (`draft`, `standard` or `high`; default `standard`): Encoding quality" in text


async def test_it_says_whether_a_key_is_needed_and_needs_none_itself(start: Start) -> None:
    assert "No key is needed." in page({"paths": {}}, "http://service", 60)
    locked = await (await start(api_keys="sesame")).get("/llms.txt")
    assert (locked.status_code, "Authorization: Bearer" in locked.text) == (200, True)
    assert "http://service/v1/avatars" in locked.text


async def test_defaults_and_choices_are_written_as_a_caller_writes_them(start: Start) -> None:
    text = (await (await start()).get("/llms.txt")).text
    assert "  - `stream` (in the query; default `false`): Stream a fragmented" in text
    for name in ("`Prefer` (header)", "`avatar` (in the query)"):
        assert f"  - {name}: {name.split()[0].strip('`')}\n" not in text, "described by itself"
    for bad in ("`None`", "``)", "`False`", "`null`"):
        assert bad not in text


async def test_it_says_what_a_job_can_be_and_how_long_it_is_kept(start: Start) -> None:
    text = " ".join((await (await start(job_ttl=7200)).get("/llms.txt")).text.split())
    assert "A *check* says how well" in text
    assert "for 2 hours after that" in text
