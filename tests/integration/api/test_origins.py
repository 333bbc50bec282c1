"""Pages of other origins, and names that were made to point here."""

import pytest
from pydantic import ValidationError

from tests.integration.api.conftest import Start

pytestmark = pytest.mark.anyio
PAGE = "https://app.example.org"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://service:3000"},
        {"Origin": "null"},
        {"Origin": "null", "Host": ""},
        {"Origin": "http://["},
        {"Origin": "http://service", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_foreign_page_may_change_nothing(start: Start, method: str, headers: dict[str, str]) -> None:
    client = await start()
    answer = await client.request(method, "/v1/avatars/anna", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:mouthpiece:problem:foreign-origin"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://service"}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy"}],
)
async def test_the_services_own_page_and_no_page_at_all_may(start: Start, headers: dict[str, str]) -> None:
    client = await start()
    assert (await client.delete("/v1/avatars/anna", headers=headers)).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", ""])
async def test_a_name_that_was_made_to_point_here_reads_nothing(start: Start, host: str) -> None:
    client = await start()
    answer = await client.get("/v1/avatars", headers={"Host": host or "a.b"})
    assert answer.status_code == 421


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "localhost",
        "[::1]:8000",
        "10.0.0.7",
        "mouthpiece:8000",
        "a.localhost",
        "video.example",
    ],
)
async def test_addresses_lone_names_and_names_that_were_given_are_known(start: Start, host: str) -> None:
    client = await start(allowed_hosts="video.example,other.example")
    assert (await client.get("/v1/avatars", headers={"Host": host})).status_code == 200


async def test_a_page_that_is_let_in_may_use_the_service_and_read_where_things_are(start: Start) -> None:
    client = await start(cors_origins=PAGE)
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "DELETE"}
    assert (await client.options("/v1/avatars/anna", headers=asked)).status_code == 200
    answer = await client.delete("/v1/avatars/anna", headers={"Origin": PAGE, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert (
        await client.delete("/v1/avatars/anna", headers={"Origin": "https://x.example"})
    ).status_code == 403


async def test_a_page_that_is_let_in_may_send_and_read_every_header_that_is_described(start: Start) -> None:
    client = await start(cors_origins=PAGE)
    paths = (await client.get("/openapi.json")).json()["paths"]
    calls = [call for path in paths.values() for call in path.values()]
    sent = {each["name"] for call in calls for each in call.get("parameters", ()) if each["in"] == "header"}
    answers = [answer for call in calls for answer in call["responses"].values()]
    read = {name for answer in answers for name in answer.get("headers", ())} - {"Last-Modified"}  # always is
    assert {"Prefer", "Idempotency-Key"} <= sent
    # One names a file that is sent alone, one is what a page follows a job with that was cut off.
    for name in (*sent, "Content-Disposition", "Last-Event-ID"):
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": name}
        answer = await client.options("/v1/renders", headers={"Origin": PAGE, **asked})
        assert answer.status_code == 200, name
    shown = (await client.get("/v1/jobs", headers={"Origin": PAGE})).headers["Access-Control-Expose-Headers"]
    assert read | {"Content-Disposition"} <= set(shown.split(", "))


async def test_keys_are_not_shown_where_settings_are_printed() -> None:
    from app.settings import Settings

    given = Settings(api_keys="sesame", database_url="postgresql://u:open@h/n")
    assert "sesame" not in repr(given)
    assert "open@" not in repr(given)
    assert "open@" not in given.model_dump_json()
    with pytest.raises(ValidationError) as refused:
        Settings(database_url="mysql://u:open@h/n")
    assert "open@" not in str(refused.value)
