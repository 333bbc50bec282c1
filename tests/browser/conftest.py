"""A real Chromium on the studio page of a real service."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from demo.browser import find_chromium
from tests.browser.studio import Studio
from tests.support import clips
from tests.support.server import Server, running

CHROMIUM = find_chromium()
SPOKEN = 3.0
"""Seconds of what the microphone hears, again and again."""

OpenStudio = Callable[..., Studio]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder as slow; skip them where there is no browser."""
    missing = pytest.mark.skip(reason="no Chromium and no Chrome: scripts/services installs one")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(missing)


# Not of the whole session: the loop that drives the browser must have ended before other tests run theirs.
@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    heard = clips.speech(tmp_path_factory.mktemp("microphone") / "heard.wav", SPOKEN)
    options = [
        "--no-sandbox",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    ]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=options)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with one avatar, anna, and small limits."""
    limits = {"MAX_UPLOAD_BYTES": "6000000", "MAX_VIDEO_SECONDS": "5", "MAX_AUDIO_SECONDS": "60"}
    with running(tmp_path_factory.mktemp("studio"), **limits) as server:
        register(server, tmp_path_factory.mktemp("anna"))
        yield server


@pytest.fixture(scope="package")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that asks for the key 'sesame', with one avatar, anna."""
    with running(tmp_path_factory.mktemp("locked"), API_KEYS="sesame") as server:
        server.client.headers["Authorization"] = "Bearer sesame"
        register(server, tmp_path_factory.mktemp("anna"))
        yield server


def register(server: Server, folder: Path) -> None:
    video = clips.talking_head(folder / "anna.mp4", 1.0)
    answer = server.client.post("/v1/avatars", data={"id": "anna"}, files={"video": video.read_bytes()})
    assert answer.status_code == 201, answer.text


@pytest.fixture
def open_studio(browser: Browser, server: Server) -> Iterator[OpenStudio]:
    """Open the page in a browser that knows nothing yet; at the end, no script of it may have failed."""
    opened = []

    def open_page(service: Server = server, width: int = 1280, path: str = "/", dark: bool = False) -> Studio:
        context = browser.new_context(
            base_url=service.url,
            viewport={"width": width, "height": 900},
            permissions=["microphone", "clipboard-read", "clipboard-write"],
            color_scheme="dark" if dark else "light",
        )
        opened.append(studio := Studio(context.new_page()))
        studio.page.goto(path)
        return studio

    yield open_page
    for studio in opened:
        home = urlsplit(studio.page.url).netloc
        studio.page.context.close()
        assert studio.errors == []
        assert {urlsplit(url.removeprefix("blob:")).netloc for url in studio.requested} == {home}


@pytest.fixture
def studio(open_studio: OpenStudio) -> Studio:
    """The page of the open service."""
    return open_studio()


@pytest.fixture(scope="package")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Sound files by their length in seconds."""
    folder = tmp_path_factory.mktemp("speech")
    return lambda seconds: clips.speech(folder / f"{seconds:g} seconds.wav", seconds)
