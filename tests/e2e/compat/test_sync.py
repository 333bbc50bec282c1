"""Sync.so's own client, unmodified, against a real service."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sync import Sync
from sync.common import Audio, GenerationOptions, Tts, Video
from sync.common.errors import BadRequestError, NotFoundError, UnauthorizedError
from sync.common.types.eleven_labs import ElevenLabs

from tests.e2e.compat.conftest import KEY, Place


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Sync]:
    with httpx.Client(timeout=60) as web:
        yield Sync(base_url=place.url, api_key=KEY, httpx_client=web)


def inputs(place: Place, audio: str = "") -> list[Any]:
    return [Video(url=place.video), Audio(url=audio or place.audio)]


def ended(place: Place, client: Sync, generation_id: str) -> Any:
    """Return a generation once it has ended."""

    def ask() -> Any:
        generation = client.generations.get(generation_id)
        return None if generation.status in ("PENDING", "PROCESSING") else generation

    return place.server.wait(ask)


def test_a_generation_is_made_followed_and_listed(client: Sync, place: Place) -> None:
    made = client.generations.create(model="lipsync-2", input=inputs(place))
    assert (made.status, made.model, made.output_url) == ("PENDING", "lipsync-2", None)
    done = ended(place, client, made.id)
    assert (done.status, done.error, done.created_at) == ("COMPLETED", None, made.created_at)
    assert [item.url for item in done.input] == [place.video, place.audio]
    assert place.frames(done.output_url) == 10
    assert made.id in [each.id for each in client.generations.list(status=["COMPLETED"])]
    assert made.id not in [each.id for each in client.generations.list(status=["FAILED", "REJECTED"])]
    assert [each.id for each in client.generations.list(ids=[made.id, "0123"])] == [made.id]


@pytest.mark.parametrize(
    ("mode", "audio", "frames"),
    [
        ("cut_off", "long", 25),
        ("silence", "words", 25),
        ("silence", "long", 40),
        ("bounce", "long", 40),
        ("loop", "long", 40),
        ("remap", "words", 10),
    ],
)
def test_sync_mode_says_how_long_it_is(
    client: Sync, place: Place, mode: str, audio: str, frames: int
) -> None:
    options = GenerationOptions(sync_mode=mode, temperature=0.9, occlusion_detection_enabled=True)
    sound = f"{place.neighbour.url}/{audio}.wav"
    made = client.generations.create(model="lipsync-2", input=inputs(place, sound), options=options)
    done = ended(place, client, made.id)
    assert (done.status, done.options.sync_mode) == ("COMPLETED", mode), done.error
    assert place.frames(done.output_url) == frames
    assert done.warnings[0] == "These fields are unknown here and were ignored: options.temperature."


def test_its_end_is_told(client: Sync, place: Place) -> None:
    hook = f"{place.neighbour.url}/sync"
    made = client.generations.create(model="lipsync-2", input=inputs(place), webhook_url=hook)
    told = place.told("/sync")
    assert (told["id"], told["status"], told["webhookUrl"]) == (made.id, "COMPLETED", hook)
    assert place.frames(told["outputUrl"]) == 10


def test_files_may_be_sent_themselves(client: Sync, place: Place) -> None:
    video, audio = (place.neighbour.files[name] for name in ("/head.mp4", "/words.wav"))
    made = client.generations.create_with_files(
        model="lipsync-2", video=("head.mp4", video), audio=("words.wav", audio)
    )
    assert place.frames(ended(place, client, made.id).output_url) == 10


def test_what_is_wrong_is_said_as_the_client_knows_it(client: Sync, place: Place) -> None:
    refused: list[tuple[str, list[Any]]] = [
        ("MOUTHPIECE_FETCH", [Video(url="http://169.254.169.254/x"), Audio(url=place.audio)]),
        ("lacks its url", [Video(asset_id="abc"), Audio(url=place.audio)]),
        ("lacks the file 'audio'", [Video(url=place.video)]),
        (
            "MOUTHPIECE_TTS_URL",
            [Video(url=place.video), Tts(provider=ElevenLabs(voice_id="x", script="Hi."))],
        ),
        ("more than one audio", [*inputs(place), Audio(url=place.audio)]),
    ]
    for sentence, given in refused:
        with pytest.raises(BadRequestError) as bad:
            client.generations.create(model="lipsync-2", input=given)
        assert sentence in str(bad.value.body.message)
        assert (bad.value.body.status_code, bad.value.body.error) == (400, "Bad Request")
    with pytest.raises(NotFoundError):
        client.generations.get("0123")
    with httpx.Client(timeout=60) as web, pytest.raises(UnauthorizedError) as locked:
        Sync(base_url=place.url, api_key="wrong", httpx_client=web).generations.list()
    assert "API key" in str(locked.value.body.message)
    bad_video = client.generations.create(model="x", input=[Video(url=place.audio), Audio(url=place.audio)])
    failed = ended(place, client, bad_video.id)
    assert (failed.status, failed.error_code) == ("FAILED", "not-a-video"), failed.error
