"""A video that speaks once, and what the page tells of how it came out."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.studio import Studio
from tests.support import clips
from tests.support.server import Server

Speech = Callable[[float], Path]


def test_a_video_speaks_without_an_avatar_and_its_receipt_is_shown(
    studio: Studio, server: Server, speech: Speech, tmp_path: Path
) -> None:
    studio.offer_video(clips.talking_head(tmp_path / "once.mp4", 0.8))
    studio.button("Use once").click()
    expect(studio.locate("#once")).to_have_text("once.mp4 is used once and not kept as an avatar.")
    studio.offer_speech(speech(2))
    studio.button("Render video").click()
    studio.wait_until_done()
    expect(studio.locate("#stage-name")).to_have_text("once.mp4 speaks")
    expect(studio.locate("#warnings")).to_contain_text("longer than the clip")
    studio.page.get_by_text("Receipt").click()
    expect(studio.locate("#facts")).to_contain_text("2.00 s of video")
    expect(studio.locate("#facts")).to_contain_text("Seam")
    studio.wait("document.getElementById('sheet').naturalWidth > 1000")
    expect(studio.locate("#sheet")).to_be_visible()
    studio.picture("receipt")
    job = server.job(studio.job_id)
    assert job["video_filename"] == "once.mp4"
    assert not any(avatar["implicit"] for avatar in server.client.get("/v1/avatars").json()["avatars"])

    studio.card("anna").locator("img").click()
    expect(studio.locate("#once")).to_be_hidden()


def test_a_video_that_is_used_once_stays_chosen_when_an_avatar_is_ready(
    studio: Studio, server: Server, speech: Speech, tmp_path: Path
) -> None:
    studio.make_avatar(clips.talking_head(tmp_path / "gil.mp4", 3.0), "gil")
    studio.offer_video(clips.talking_head(tmp_path / "once.mp4", 0.8))
    studio.button("Use once").click()
    expect(studio.card("gil")).to_be_visible()
    expect(studio.locate("#pending .card")).to_have_count(0)
    expect(studio.locate("#once")).to_have_text("once.mp4 is used once and not kept as an avatar.")
    expect(studio.page.get_by_role("radio", name="gil")).not_to_be_checked()
    studio.offer_speech(speech(1))
    studio.button("Render video").click()
    studio.wait_until_done()
    expect(studio.locate("#stage-name")).to_have_text("once.mp4 speaks")
    assert server.client.delete("/v1/avatars/gil").status_code == 204
