"""The studio page, as a test handles it."""

import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

DEADLINE = 60.0
"""Seconds after which a test gives up: a machine that is busy with other things renders and plays slowly."""

RENDER_DEADLINE = 5 * DEADLINE
"""The same, for a whole render of a minute."""

expect.set_options(timeout=1000 * DEADLINE)


class Studio:
    """One open page, and what it did: the addresses it asked for, and the errors in its scripts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requested: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(1000 * DEADLINE)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._hear(message.text))

    def _hear(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.errors.append(text)

    @property
    def job_id(self) -> str:
        """The job on the stage."""
        return self.page.url.partition("#")[2]

    def locate(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def wait(self, script: str) -> Any:
        """Return what the script gives once that is true; the page's policy forbids to wait inside it."""
        end = time.monotonic() + DEADLINE
        while not (value := self.page.evaluate(script)):
            assert time.monotonic() < end, f"it did not happen in time: {script}"
            time.sleep(0.05)
        return value

    def offer_video(self, path: Path) -> None:
        self.page.set_input_files("#video-file", path)
        expect(self.locate("#video-name")).to_contain_text(path.name)

    def give_key(self) -> None:
        """Answer the question for an API key with that of the ``locked`` service."""
        self.locate("#key-value").fill("sesame")
        self.button("Continue").click()

    def make_avatar(self, path: Path, name: str) -> None:
        self.offer_video(path)
        self.page.get_by_label("Name").fill(name)
        self.button("Create avatar").click()

    def offer_speech(self, path: Path) -> None:
        self.page.set_input_files("#sound-file", path)
        expect(self.locate("#sound-name")).to_have_text(path.name)

    def render(self, path: Path) -> str:
        """Begin to render anna saying that; return the job's id once the page knows it."""
        before = self.page.url
        self.card("anna").locator("img").click()
        self.offer_speech(path)
        self.button("Render video").click()
        self.wait(f"location.hash && location.href !== {before!r}")
        return self.job_id

    def wait_until_playing(self) -> None:
        """Wait until the video has played for more than half a second."""
        self.wait("document.querySelector('#video:not([hidden])')?.currentTime > 0.5")

    def wait_until_done(self) -> None:
        expect(self.page.get_by_text("Download", exact=True)).to_be_visible(timeout=1000 * RENDER_DEADLINE)

    def card(self, avatar_id: str) -> Locator:
        return self.locate("#gallery .card").filter(has_text=avatar_id)

    def picture(self, name: str) -> None:
        """Keep a picture of the whole page in ``out/``, for people to look at."""
        self.page.screenshot(path=Path("out") / "studio" / f"{name}.png", full_page=True)
