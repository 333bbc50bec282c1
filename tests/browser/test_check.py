"""The button that says how well somebody will speak, and what lies behind transparent footage."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.studio import Studio
from tests.support import clips
from tests.support.cutouts import cutout
from tests.support.server import Server


def test_a_video_is_checked_before_an_avatar_is_made_of_it(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    studio.offer_video(clips.talking_head(tmp_path / "maybe.mp4", 0.8))
    studio.button("Check").click()
    expect(studio.locate("#verdict")).to_have_text("Verdict: fair")
    expect(studio.locate("#reasons li")).to_have_count(2)
    expect(studio.locate("#reasons")).to_contain_text("pixels high")
    studio.wait("document.getElementById('faces').naturalWidth > 1000")
    expect(studio.locate("#faces")).to_be_visible()
    studio.picture("check")
    assert not any(avatar["id"] == "maybe" for avatar in server.client.get("/v1/avatars").json()["avatars"])

    studio.button("Create avatar").click()
    expect(studio.locate("#examination")).to_be_hidden()
    expect(studio.card("maybe")).to_be_visible()
    assert server.client.delete("/v1/avatars/maybe").status_code == 204


def test_a_check_says_what_the_api_says_of_a_video_without_a_face(studio: Studio, tmp_path: Path) -> None:
    blank = clips.write_video(tmp_path / "blank.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 5)
    studio.offer_video(blank)
    studio.button("Check").click()
    expect(studio.locate("#verdict")).to_contain_text("No face was found in the video")
    expect(studio.locate("#faces")).to_be_hidden()


@pytest.mark.parametrize("once", [False, True])
def test_a_picture_lies_behind_a_head_that_was_cut_out(
    studio: Studio, server: Server, tmp_path: Path, once: bool
) -> None:
    picture = tmp_path / "blue.png"
    cv2.imwrite(str(picture), np.full((90, 160, 3), (190, 60, 30), np.uint8))
    studio.offer_video(cutout(tmp_path / "cut.webm"))
    studio.page.get_by_label("Background of transparent parts").select_option("a picture")
    studio.page.set_input_files("#picture-file", picture)
    studio.page.get_by_label("Name").fill("cut")
    if once:
        studio.button("Use once").click()
        studio.offer_speech(clips.speech(tmp_path / "words.wav", 1.0))
        studio.button("Render video").click()
        studio.wait_until_done()
        avatar = server.job(studio.job_id)["avatar_id"]
    else:
        studio.button("Create avatar").click()
        expect(studio.card("cut")).to_be_visible()
        expect(studio.locate("#avatar-warnings")).to_contain_text("background picture")
        studio.picture("background")
        avatar = "cut"
    jpeg = np.frombuffer(server.client.get(f"/v1/avatars/{avatar}/preview.jpg").content, np.uint8)
    preview = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert preview is not None
    assert np.abs(preview[4:20, 4:20].mean(axis=(0, 1)) - (190, 60, 30)).max() < 10
    assert server.client.delete(f"/v1/avatars/{avatar}").status_code == 204
