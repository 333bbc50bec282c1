"""fal's own client, unmodified but for the host, which is a constant in it, against a real service."""

import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fal_client
import httpx
import pytest
from fal_client import client as constants

from tests.e2e.compat.conftest import KEY, Place
from tests.support.https import secured
from tests.support.renders import decode_pictures

APP = "fal-ai/sync-lipsync/v2"


@pytest.fixture
def client(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[fal_client.SyncClient]:
    monkeypatch.setattr(constants, "QUEUE_URL_FORMAT", f"{place.url}/fal/queue/")
    monkeypatch.setattr(constants, "RUN_URL_FORMAT", f"{place.url}/fal/run/")
    client = fal_client.SyncClient(key=KEY)
    yield client
    client._client.close()
    client._client._transport._client.close()  # type: ignore[attr-defined]  # its transport forgets to


def asked(place: Place, **more: Any) -> dict[str, Any]:
    return {"video_url": place.video, "audio_url": place.audio, "quality": "draft", **more}


def test_subscribe_tells_how_it_goes_and_gives_the_video(client: fal_client.SyncClient, place: Place) -> None:
    seen: list[fal_client.Status] = []
    given = asked(place, model="lipsync-2", sync_mode="cut_off")
    result = client.subscribe(APP, given, with_logs=True, interval=0.05, on_queue_update=seen.append)
    assert place.frames(result["video"]["url"]) == 10
    assert result["video"]["content_type"] == "video/mp4"
    assert result["video"]["file_size"] == len(httpx.get(result["video"]["url"], timeout=60).content)
    assert result["warnings"] == ["These fields are unknown here and were ignored: model."]
    assert isinstance(seen[-1], fal_client.Completed)
    assert seen[-1].metrics["inference_time"] > 0
    assert seen[-1].logs is not None
    assert seen[-1].logs[-1]["message"].endswith("frames")


def test_a_request_is_found_again_by_its_id(client: fal_client.SyncClient, place: Place) -> None:
    handle = client.submit(APP, asked(place))
    known = fal_client.Queued | fal_client.InProgress | fal_client.Completed
    assert isinstance(client.status(APP, handle.request_id), known)
    assert place.frames(client.result(APP, handle.request_id)["video"]["url"]) == 10


def test_run_waits_and_sync_mode_true_puts_the_video_into_the_answer(
    client: fal_client.SyncClient, place: Place, tmp_path: Path
) -> None:
    result = client.run("fal-ai/latentsync", asked(place, sync_mode=True))
    kind, _, encoded = result["video"]["url"].partition(",")
    assert kind == "data:video/mp4;base64"
    (tmp_path / "made.mp4").write_bytes(b64decode(encoded))
    assert sum(1 for _ in decode_pictures(tmp_path / "made.mp4")) == 10


def test_its_end_is_told(client: fal_client.SyncClient, place: Place) -> None:
    handle = client.submit(APP, asked(place), webhook_url=f"{place.neighbour.url}/fal")
    told = place.told("/fal")
    assert (told["request_id"], told["status"], told["error"]) == (handle.request_id, "OK", None)
    assert place.frames(told["payload"]["video"]["url"]) == 10


def test_a_request_is_canceled(client: fal_client.SyncClient, place: Place) -> None:
    handle = client.submit(APP, asked(place, audio_url=f"{place.neighbour.url}/much.wav"))
    handle.cancel()
    place.server.wait(lambda: isinstance(handle.status(), fal_client.Completed))
    status = handle.status()
    assert isinstance(status, fal_client.Completed)
    assert (status.error_type, "canceled" in str(status.error)) == ("job-canceled", True)
    with pytest.raises(fal_client.FalClientHTTPError) as gone:
        handle.get(interval=0.05)
    assert gone.value.status_code == 410
    with pytest.raises(fal_client.FalClientHTTPError) as late:
        handle.cancel()
    assert (late.value.status_code, late.value.response.json()) == (400, {"status": "ALREADY_COMPLETED"})


def test_what_is_wrong_is_said(client: fal_client.SyncClient, place: Place) -> None:
    with pytest.raises(fal_client.FalClientHTTPError, match="MOUTHPIECE_FETCH") as refused:
        client.submit(APP, asked(place, video_url="http://127.0.0.1:9/x.mp4"))
    assert refused.value.status_code == 422
    with pytest.raises(fal_client.FalClientHTTPError, match="video"):
        client.subscribe(APP, asked(place, video_url=place.audio), interval=0.05)
    with pytest.raises(fal_client.FalClientHTTPError) as missing:
        client.status(APP, "0123")
    assert missing.value.status_code == 404


SCRIPT = """
import sys, fal_client
result = fal_client.subscribe("fal-ai/sync-lipsync", {"video_url": sys.argv[1], "audio_url": sys.argv[2]})
assert fal_client.run("fal-ai/sync-lipsync", {"video_url": sys.argv[1], "audio_url": sys.argv[2]})["video"]
print(result["video"]["url"])
"""


def test_behind_a_proxy_with_a_certificate_two_variables_are_enough(place: Place, tmp_path: Path) -> None:
    with secured(place.url, tmp_path) as (host, trusted):
        environment = {
            "FAL_QUEUE_RUN_HOST": f"{host}/fal/queue",
            "FAL_RUN_HOST": f"{host}/fal/run",
            "FAL_KEY": KEY,
            "SSL_CERT_FILE": str(trusted),
        }
        command = [sys.executable, "-c", SCRIPT, place.video, place.audio]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    url = done.stdout.strip()
    assert url.startswith(f"https://{host}/outputs/")
    assert place.frames(url.replace(f"https://{host}", place.url)) == 10
