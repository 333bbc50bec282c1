"""The text box of the studio, which is there where the service can have a text said."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenStudio, register
from tests.browser.studio import Studio
from tests.support.server import running
from tests.support.speaking import speaking
from tests.support.videos import decode


def test_a_text_is_written_and_spoken(
    open_studio: OpenStudio,
    speech: Callable[[float], Path],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with speaking() as speaker, running(tmp_path, TTS_URL=speaker.url) as server:
        register(server, tmp_path_factory.mktemp("anna"))
        studio = open_studio(server)
        studio.card("anna").locator("img").click()
        studio.page.get_by_label("Or type a text").fill("It's a fine day.")
        studio.page.get_by_label("Voice").fill("nova")
        studio.button("Render video").click()
        studio.wait_until_done()
        assert [(asked["input"], asked["voice"]) for asked in speaker.asked] == [("It's a fine day.", "nova")]
        expect(studio.locate(".job").first).to_contain_text("It's a fine day.")
        studio.button("Copy as curl").click()
        command = studio.page.evaluate("navigator.clipboard.readText()")
        subprocess.run([*shlex.split(command), "--silent"], cwd=tmp_path, check=True)
        assert len(decode(tmp_path / "anna.mp4").frames) > 10
        assert speaker.asked[1] == speaker.asked[0]
        studio.offer_speech(speech(1))
        expect(studio.page.get_by_label("Or type a text")).to_have_value("")
        studio.page.context.close()


def test_without_a_server_there_is_no_box(studio: Studio) -> None:
    expect(studio.locate("#service")).to_contain_text(" on ")
    expect(studio.page.get_by_label("Or type a text")).to_be_hidden()


def test_arabic_is_written_from_the_right(studio: Studio) -> None:
    script = """(text) => {
      const box = document.getElementById("text");
      box.value = text;
      return getComputedStyle(box).direction;
    }"""
    assert studio.page.evaluate(script, "It's a fine day.") == "ltr"
    assert studio.page.evaluate(script, "مرحبا") == "rtl"
