"""A page of another origin in Chromium: it uploads, follows the events of a job and plays what was made."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.studio import DEADLINE
from tests.support import clips
from tests.support.neighbour import Neighbour
from tests.support.server import Server, running

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>A page of somebody else</title>
<input type="file" id="video"><input type="file" id="audio"><video id="player" muted></video>
<script type="module">
  window.speak = async (service) => {
    const form = new FormData();
    for (const name of ["video", "audio"]) form.append(name, document.getElementById(name).files[0]);
    form.append("quality", "draft");
    const headers = { Prefer: "respond-async", "Idempotency-Key": crypto.randomUUID() };
    const answer = await fetch(`${service}/v1/renders`, { method: "POST", body: form, headers });
    const place = answer.headers.get("Location");
    const events = new EventSource(`${service}${place}/events`);
    const states = [];
    const job = await new Promise((resolve, reject) => {
      events.addEventListener("progress", (event) => states.push(JSON.parse(event.data).state));
      events.addEventListener("end", (event) => resolve(JSON.parse(event.data)));
      events.onerror = () => reject(new Error("The events were cut off."));
    });
    events.close();
    const made = await fetch(service + job.links.video, { headers: { Range: "bytes=0-99" } });
    const player = document.getElementById("player");
    player.crossOrigin = "anonymous";
    player.src = service + job.links.video;
    await player.play();
    await new Promise((resolve) => player.addEventListener("ended", resolve));
    const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const pen = canvas.getContext("2d");
    pen.drawImage(player, 0, 0, 8, 8);
    const light = Math.max(...pen.getImageData(0, 0, 8, 8).data.filter((_, at) => at % 4 < 3));
    return {
      status: answer.status, states, state: job.state, range: made.headers.get("Content-Range"),
      seconds: player.duration, light,
    };
  };
</script>
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Neighbour]:
    """Another server, which has the page."""
    with Neighbour(files={"/page.html": PAGE}).open() as neighbour:
        yield neighbour


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, elsewhere: Neighbour) -> Iterator[Server]:
    """A service that lets pages of the other server in."""
    with running(tmp_path_factory.mktemp("host"), CORS_ORIGINS=elsewhere.url) as server:
        yield server


def open_page(browser: Browser, elsewhere: Neighbour, folder: Path, speech: Path) -> Page:
    page = browser.new_context().new_page()
    page.set_default_timeout(1000 * DEADLINE)
    page.goto(f"{elsewhere.url}/page.html")
    page.set_input_files("#video", clips.talking_head(folder / "head.mp4", 1.0))
    page.set_input_files("#audio", speech)
    return page


def test_it_uploads_follows_the_events_and_plays_the_result(
    browser: Browser, host: Server, elsewhere: Neighbour, speech: Callable[[float], Path], tmp_path: Path
) -> None:
    page = open_page(browser, elsewhere, tmp_path, speech(1))
    told = page.evaluate("service => speak(service)", host.url)
    page.context.close()
    assert (told["status"], told["state"]) == (202, "succeeded")
    assert told["states"][0] in ("queued", "running")
    assert told["range"].startswith("bytes 0-99/")
    assert told["seconds"] == pytest.approx(1.0, abs=0.05)
    assert told["light"] > 50


def test_one_that_is_not_let_in_does_nothing(
    browser: Browser, server: Server, elsewhere: Neighbour, speech: Callable[[float], Path], tmp_path: Path
) -> None:
    before = server.client.get("/v1/jobs").json()["jobs"]
    page = open_page(browser, elsewhere, tmp_path, speech(1))
    failed = page.evaluate("service => speak(service).catch((error) => error.message)", server.url)
    page.context.close()
    assert failed == "Failed to fetch"
    assert server.client.get("/v1/jobs").json()["jobs"] == before
