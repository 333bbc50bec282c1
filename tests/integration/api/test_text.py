"""A text instead of sound, with a text-to-speech server that answers well, badly or not at all."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app import volume
from app.api.speech import Speaker
from app.avatars.store import AvatarStore
from app.settings import Settings
from tests.integration.api.conftest import Start
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.ports import free_port
from tests.support.speaking import Speaking, speaking
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def speaker() -> Iterator[Speaking]:
    with speaking() as server:
        yield server


async def post(client: httpx.AsyncClient, folder: Path, **fields: Any) -> httpx.Response:
    """Have the avatar anna say what the fields of a form say."""
    if not (folder / "avatars" / "anna").exists():
        put_made_up(AvatarStore(folder / "avatars"), made_up_manifest())
    parts = {name: (None, value) for name, value in fields.items()}
    return await client.post("/v1/avatars/anna/renders", files=parts, headers={"Prefer": "respond-async"})


async def test_a_text_is_said_and_its_sound_is_the_upload(
    start: Start, speaker: Speaking, tmp_path: Path
) -> None:
    client = await start(tts_url=f"{speaker.url}/v1/", tts_key="sesame", tts_model="kokoro")
    text = "Good morning, and welcome to all of you who came."
    answer = await post(client, tmp_path, text=text, voice="nova", quality="draft")
    assert answer.status_code == 202, answer.text
    assert speaker.asked == [{"model": "kokoro", "input": text, "voice": "nova", "response_format": "wav"}]
    assert speaker.keys == ["Bearer sesame"]
    job = answer.json()
    assert (job["filename"], job["warnings"]) == ("Good morning, and welcome to all of you …", [])


async def test_a_text_without_a_voice_has_the_one_of_the_settings(
    start: Start, speaker: Speaking, tmp_path: Path
) -> None:
    client = await start(tts_url=speaker.url, tts_voice="nova")
    assert (await post(client, tmp_path, text="Hello.", voice="")).status_code == 202
    assert speaker.asked[0]["voice"] == "nova"
    assert speaker.keys == [None]


async def test_without_a_server_a_text_is_refused_with_the_names_of_three(
    start: Start, tmp_path: Path
) -> None:
    answer = await post(await start(), tmp_path, text="Hello.")
    assert answer.status_code == 422
    for name in ("MOUTHPIECE_TTS_URL", "Kokoro-FastAPI", "speaches", "openedai-speech"):
        assert name in answer.json()["detail"]


async def test_a_voice_that_the_server_has_not_is_said_in_its_words(
    start: Start, speaker: Speaking, tmp_path: Path
) -> None:
    answer = await post(await start(tts_url=speaker.url), tmp_path, text="Hello.", voice="darth")
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith("There is no voice 'darth'.")


@pytest.mark.parametrize(
    ("status", "kind", "body", "code", "words"),
    [
        (401, "application/json", b'{"error": {"message": "wrong key sesame"}}', 502, "status 401"),
        (500, "text/plain", b"traceback", 502, "status 500"),
        (200, "application/json", b'{"audio": ""}', 502, "status 200 and no audio"),
        (200, "audio/wav", b"", 502, "empty file"),
        (200, "audio/wav", b"RIFF" * 100_000, 413, "more than 300000 bytes"),
        (422, "application/json", b'{"detail": [{"msg": "too long"}]}', 422, "too long"),
        (400, "text/plain", b"", 422, "it says no more"),
    ],
)
async def test_a_server_that_does_not_answer_with_sound(
    start: Start,
    speaker: Speaking,
    tmp_path: Path,
    status: int,
    kind: str,
    body: bytes,
    code: int,
    words: str,
) -> None:
    speaker.answer = status, kind, body
    client = await start(tts_url=speaker.url, max_upload_bytes=300_000)
    answer = await post(client, tmp_path, text="Hello.")
    assert answer.status_code == code
    assert words in answer.json()["detail"]
    assert code == 422 or "sesame" not in answer.text
    await until(lambda: list((tmp_path / "data" / "jobs").glob("*")) == [])


async def test_the_volume_of_a_sound_is_not_looked_at_on_the_event_loop(
    speaker: Speaking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[threading.Thread] = []

    def room(folder: Path) -> int:
        looked.append(threading.current_thread())
        return 1 << 30

    monkeypatch.setattr(volume, "room", room)
    async with Speaker(Settings(tts_url=speaker.url)) as there:
        await there.say("Hello.", None, tmp_path / "a.wav")
    assert looked
    assert threading.current_thread() not in looked


async def test_a_server_that_is_not_there(start: Start, tmp_path: Path) -> None:
    answer = await post(await start(tts_url=f"http://127.0.0.1:{free_port()}"), tmp_path, text="Hello.")
    assert answer.status_code == 502
    assert answer.json()["type"] == "urn:mouthpiece:problem:speech-failed"


async def test_a_text_and_a_sound_are_one_too_many(start: Start, speaker: Speaking, tmp_path: Path) -> None:
    client = await start(tts_url=speaker.url)
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest())
    path, sound = "/v1/avatars/anna/renders", {"audio": ("a.wav", b"sound")}
    both = await client.post(path, data={"text": "Hello."}, files=sound)
    assert (both.status_code, both.json()["detail"]) == (422, "Send either audio or text, not both.")
    named = await client.post(path, data={"voice": "x"}, files=sound, headers={"Prefer": "respond-async"})
    assert "voice" in named.json()["warnings"][0]["detail"]
    assert speaker.asked == []


async def test_a_text_has_a_limit_and_an_empty_one_is_none(
    start: Start, speaker: Speaking, tmp_path: Path
) -> None:
    client = await start(tts_url=speaker.url)
    long = await post(client, tmp_path, text="é" * 10_001)
    assert (long.status_code, "at most 10000" in long.json()["detail"]) == (422, True)
    assert "lacks the file 'audio'" in (await post(client, tmp_path, text=" ")).json()["detail"]


async def test_the_key_is_not_shown_where_settings_are_printed() -> None:
    assert "sesame" not in repr(Settings(tts_url="http://a", tts_key="sesame"))


@pytest.mark.parametrize("url", ["tts.example", "ftp://a", "http://", "file:///etc/passwd"])
def test_the_address_of_the_server_is_one_of_the_web(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        Settings(tts_url=url)


async def test_a_text_may_come_as_json_but_not_with_half_a_character(
    start: Start, speaker: Speaking, tmp_path: Path
) -> None:
    client = await start(tts_url=speaker.url)
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest())
    path, headers = (
        "/v1/avatars/anna/renders",
        {"Content-Type": "application/json", "Prefer": "respond-async"},
    )
    fine = await client.post(
        path, content=b'{"text": "Gr\\u00fc\\u00df Gott \\ud83d\\ude00"}', headers=headers
    )
    assert (fine.status_code, speaker.asked[0]["input"]) == (202, "Grüß Gott 😀")
    half = await client.post(path, content=b'{"text": "a\\ud800"}', headers=headers)
    assert (half.status_code, "half a character" in half.json()["detail"]) == (422, True)


LETTERS = "早" * 10_000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("text=Grüß Gott".encode(), "Grüß Gott"),
        (b"text=Gr%C3%BC%C3%9F+Gott&voice=nova", "Grüß Gott"),
        (f"text={quote(LETTERS)}&voice=nova".encode(), LETTERS),
    ],
    ids=["curl -d", "encoded", "long"],
)
async def test_a_text_may_come_as_curl_sends_it(
    start: Start, speaker: Speaking, tmp_path: Path, body: bytes, text: str
) -> None:
    client = await start(tts_url=speaker.url)
    speaker.answer = 200, "audio/wav", b"RIFF"
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest())
    answer = await send(client, body)
    assert (answer.status_code, speaker.asked[0]["input"] == text) == (202, True), answer.text


@pytest.mark.parametrize("body", [b"text=\xff", b"text=%ff", b"text=" + b"x" * 200_000])
async def test_a_form_that_is_no_text_or_too_long_is_refused_with_what_to_send(
    start: Start, tmp_path: Path, body: bytes
) -> None:
    client = await start()
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest())
    answer = await send(client, body)
    assert answer.status_code == 422
    assert ("at most" if len(body) > 9 else "curl --data-urlencode") in answer.json()["detail"]


async def send(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    """Send a form without files, encoded as it is."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Prefer": "respond-async"}
    return await client.post("/v1/avatars/anna/renders", content=body, headers=headers)


async def test_no_proxy_of_the_environment_is_asked(
    start: Start, speaker: Speaking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = await start(tts_url=speaker.url)
    assert (await post(client, tmp_path, text="Hello.")).status_code == 202
    assert len(speaker.asked) == 1
