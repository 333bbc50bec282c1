import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import SPOKEN, OpenStudio
from tests.browser.studio import Studio
from tests.support.cutouts import cutout
from tests.support.server import Server
from tests.support.videos import decode

Speech = Callable[[float], Path]


def test_the_video_plays_while_it_is_made_and_can_be_kept(
    studio: Studio, server: Server, speech: Speech, tmp_path: Path
) -> None:
    job_id = studio.render(speech(60))
    studio.wait_until_playing()
    assert server.job(job_id)["state"] == "running"
    expect(studio.locate("#work-state")).to_contain_text(" of 1500 frames · ")
    expect(studio.locate("#work-state")).to_contain_text("left")
    seen = studio.locate("#bar").evaluate("bar => bar.value")
    assert 0 < seen < 1
    studio.wait(f"document.getElementById('bar').value > {seen}")
    studio.wait_until_done()
    studio.wait("document.getElementById('video').duration > 59.9")
    with studio.page.expect_download() as download:
        studio.page.get_by_text("Download", exact=True).click()
    download.value.save_as(tmp_path / "kept.mp4")
    assert download.value.suggested_filename == f"anna-{job_id}.mp4"
    assert len(decode(tmp_path / "kept.mp4").frames) == 1500


def test_a_render_is_followed_on_though_a_proxy_fails_for_a_moment(
    studio: Studio, server: Server, speech: Speech
) -> None:
    failures = [502, 503]

    def fail(route: Route) -> None:
        if failures:
            route.fulfill(status=failures.pop())
        else:
            route.continue_()

    studio.page.route("**/v1/jobs/*/events", fail)
    studio.render(speech(1))
    studio.wait_until_done()
    assert failures == []


def test_a_render_that_cannot_be_followed_says_so(studio: Studio, server: Server, speech: Speech) -> None:
    studio.page.route("**/v1/jobs/*/events", lambda route: route.fulfill(status=500))
    studio.render(speech(1))
    expect(studio.locate("#stage-problem")).to_have_text("The service answered with status 500.")


def test_the_copied_command_does_the_same(
    studio: Studio, server: Server, speech: Speech, tmp_path: Path
) -> None:
    sound = tmp_path / 'it\'s "me", ok.wav'
    sound.write_bytes(speech(1).read_bytes())
    studio.page.get_by_text("Options").click()
    studio.page.get_by_label("Quality").select_option("draft")
    studio.render(sound)
    studio.wait_until_done()
    studio.button("Copy as curl").click()
    expect(studio.button("Copied")).to_be_visible()
    command = studio.page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("curl --fail-with-body ")
    assert "-F quality=draft" in command
    assert "mouth_offset_ms" not in command
    subprocess.run([*shlex.split(command), "--silent"], cwd=tmp_path, check=True)
    assert len(decode(tmp_path / "anna.mp4").frames) == 25


def test_what_was_played_while_it_was_made_is_let_go_of(studio: Studio, speech: Speech) -> None:
    studio.page.add_init_script(
        """window.held = new Map();
        const { createObjectURL, revokeObjectURL } = URL;
        URL.createObjectURL = (made) => {
          const url = createObjectURL(made);
          held.set(url, made.constructor.name);
          return url;
        };
        URL.revokeObjectURL = (url) => {
          if (held.get(url) === "MediaSource") window.played = true;
          held.delete(url);
          revokeObjectURL(url);
        };"""
    )
    studio.page.reload()
    studio.render(speech(1))
    studio.wait_until_done()
    assert studio.page.evaluate("[window.played, [...held.values()].includes('MediaSource')]") == [
        True,
        False,
    ]


def test_the_copied_command_is_of_a_file_of_the_video_s_format(
    studio: Studio, server: Server, speech: Speech
) -> None:
    answer = server.client.post(
        "/v1/avatars/anna/renders", data={"format": "webm"}, files={"audio": speech(0.5).read_bytes()}
    )
    studio.page.goto(f"/#{answer.headers['Content-Location'].rpartition('/')[2]}")
    studio.wait_until_done()
    studio.button("Copy as curl").click()
    expect(studio.button("Copied")).to_be_visible()
    assert " -o anna.webm " in studio.page.evaluate("navigator.clipboard.readText()")


def test_the_microphone_is_recorded_and_spoken(studio: Studio, server: Server, tmp_path: Path) -> None:
    studio.card("anna").locator("img").click()
    studio.button("Record").click()
    studio.wait("document.getElementById('clock').textContent >= '0:02'")
    studio.button("Stop").click()
    expect(studio.locate("#sound-name")).to_have_text("recording.webm")
    painted = """() => {
      const canvas = document.getElementById("waveform");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, at) => at % 4 === 3 && value > 0).length;
    }"""
    assert studio.page.evaluate(painted) > 1000
    studio.wait("document.getElementById('player').readyState > 0")
    studio.button("Render video").click()
    studio.wait_until_done()
    studio.wait_until_playing()
    path = tmp_path / "spoken.mp4"
    path.write_bytes(server.client.get(f"/v1/jobs/{studio.job_id}/video").content)
    assert 2 * 25 <= len(decode(path).frames) <= 2 * SPOKEN * 25


def test_where_a_browser_gives_no_microphone_the_page_says_why(studio: Studio) -> None:
    studio.page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    studio.page.reload()
    studio.button("Record").click()
    expect(studio.locate("#speech-problem")).to_contain_text("on https and localhost only")


def test_a_render_is_canceled(studio: Studio, server: Server, speech: Speech) -> None:
    job_id = studio.render(speech(60))
    studio.wait_until_playing()
    studio.button("Cancel").click()
    expect(studio.locate("#stage-problem")).to_have_text("This render was canceled.")
    expect(studio.locate("#poster")).to_be_visible()
    expect(studio.locate("#stage-title")).to_be_focused()
    assert studio.page.evaluate("document.getElementById('video').paused")
    assert server.job(job_id)["state"] == "canceled"
    server.wait(lambda: server.files(job_id) == [])
    expect(studio.button("Render video")).to_be_enabled()
    expect(studio.locate("#job-list .job").first).to_contain_text("Canceled")


def test_a_render_goes_on_while_the_page_is_reloaded(studio: Studio, server: Server, speech: Speech) -> None:
    job_id = studio.render(speech(60))
    studio.wait_until_playing()
    studio.page.reload()
    expect(studio.locate("#work-state")).to_contain_text(" of 1500 frames · ")
    studio.wait_until_playing()
    assert server.job(job_id)["state"] == "running"
    studio.wait_until_done()
    studio.page.reload()
    studio.wait_until_done()
    studio.wait("document.getElementById('video').duration > 59.9")


def test_the_page_says_that_the_service_is_away_and_goes_on_when_it_is_back(
    studio: Studio, server: Server, speech: Speech
) -> None:
    job_id = studio.render(speech(60))
    studio.wait_until_playing()
    server.stop()
    expect(studio.locate("#service")).to_have_text(
        "The service does not respond. Check that it is running and that the network is up."
    )
    server.start()
    expect(studio.locate("#service")).to_contain_text("on cpu")
    studio.wait_until_done()
    studio.wait("document.getElementById('video').duration > 59.9")
    assert server.job(job_id)["state"] == "succeeded"


def test_a_finished_video_is_opened_from_the_list_and_forgotten(
    studio: Studio, server: Server, speech: Speech
) -> None:
    job_id = studio.render(speech(1))
    studio.wait_until_done()
    studio.page.goto("/")
    row = studio.locate("#job-list .job").first
    row.get_by_role("link", name="anna speaks, 1 seconds.wav", exact=True).click()
    studio.wait_until_done()
    assert studio.job_id == job_id
    row.get_by_role("button", name="Delete").click()
    studio.button("Delete").click()
    expect(studio.locate("#done")).to_be_hidden()
    expect(studio.locate("#jobs-title")).to_be_focused()
    assert server.client.get(f"/v1/jobs/{job_id}").status_code == 404


def test_a_video_that_cannot_be_deleted_stays_and_the_reason_is_seen(
    studio: Studio, server: Server, speech: Speech
) -> None:
    job_id = studio.render(speech(1))
    studio.wait_until_done()
    studio.locate("#job-list .job").first.get_by_role("button", name="Delete").click()
    studio.page.context.set_offline(True)
    studio.button("Delete").click()
    expect(studio.locate("#jobs-problem")).to_contain_text("The service does not respond.")
    assert studio.job_id == job_id
    studio.page.context.set_offline(False)
    assert server.client.get(f"/v1/jobs/{job_id}").status_code == 200
    studio.page.clock.set_fixed_time(time.time() + 60)
    studio.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(studio.locate("#jobs-problem")).to_be_hidden()


def test_deleting_a_job_that_is_gone_already_is_no_problem(
    studio: Studio, server: Server, speech: Speech
) -> None:
    job_id = studio.render(speech(1))
    studio.wait_until_done()
    studio.page.route("**/v1/jobs?*", lambda route: route.abort())  # the list stays as it is
    studio.locate("#job-list .job").first.get_by_role("button", name="Delete").click()
    assert server.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    studio.button("Delete").click()
    expect(studio.locate("#jobs-title")).to_be_focused()
    expect(studio.locate("#jobs-problem")).to_be_hidden()


def test_what_is_wrong_with_a_speech_is_said_in_the_words_of_the_api(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    sound = tmp_path / "words.wav"
    sound.write_text("These are no sounds.")
    job_id = studio.render(sound)
    expect(studio.locate("#stage-problem")).to_be_visible()
    expect(studio.locate("#stage-problem")).to_have_text(server.job(job_id)["error"]["detail"])
    expect(studio.locate("#job-list .job").first).to_contain_text(server.job(job_id)["error"]["detail"])


def test_the_warnings_of_a_job_that_failed_are_shown_as_those_of_any_other(
    studio: Studio, server: Server, speech: Speech
) -> None:
    answer = server.client.post(
        "/v1/avatars/anna/renders", data={"colour": "red"}, files={"audio": b"These are no sounds."}
    )
    job_id = answer.headers["Content-Location"].rpartition("/")[2]
    job = server.job(job_id)
    studio.page.goto(f"/#{job_id}")
    expect(studio.locate("#stage-problem")).to_have_text(job["error"]["detail"])
    expect(studio.locate("#warnings li")).to_have_text([told["detail"] for told in job["warnings"]])
    assert [told["code"] for told in job["warnings"]] == ["unknown-fields"]
    expect(studio.locate("#receipt")).to_be_hidden()
    studio.render(speech(1))
    studio.wait_until_done()
    expect(studio.locate("#warnings li")).to_have_count(0)


def test_a_speech_that_is_too_long_is_refused_before_it_is_sent(studio: Studio, speech: Speech) -> None:
    studio.offer_speech(speech(65))
    expect(studio.locate("#speech-problem")).to_have_text("The audio is 1:05 min long; the limit is 1 min.")
    expect(studio.button("Render video")).to_be_disabled()


def test_the_key_is_asked_for_once_and_kept_for_the_tab(
    open_studio: OpenStudio, locked: Server, speech: Speech, tmp_path: Path
) -> None:
    studio = open_studio(locked)
    dialog = studio.locate("#key")
    for key, answer in ("friend", "The service did not accept this key."), ("sesame", None):
        expect(dialog).to_be_visible()
        studio.locate("#key-value").fill(key)
        studio.button("Continue").click()
        if answer:
            expect(dialog).to_contain_text(answer)
    expect(dialog).to_be_hidden()
    studio.wait("document.querySelector('#gallery img')?.naturalWidth === 320")
    studio.render(speech(20))
    studio.wait_until_playing()
    studio.wait_until_done()
    with studio.page.expect_download() as download:
        studio.page.get_by_text("Download", exact=True).click()
    download.value.save_as(tmp_path / "kept.mp4")
    assert len(decode(tmp_path / "kept.mp4").frames) == 500
    studio.page.reload()
    expect(studio.card("anna")).to_be_visible()
    expect(dialog).to_be_hidden()
    assert studio.page.evaluate("localStorage.length") == 0
    assert "sesame" not in "".join(studio.requested)
    assert studio.page.context.cookies() == []


def test_a_download_that_comes_late_is_not_that_of_another_video(
    open_studio: OpenStudio, locked: Server, speech: Speech
) -> None:
    studio = open_studio(locked)
    studio.give_key()
    first = studio.render(speech(1))
    studio.wait_until_done()
    held: list[Route] = []
    studio.page.route(f"**/v1/jobs/{first}/video", lambda route: held.append(route))
    studio.page.get_by_text("Download", exact=True).click()
    studio.wait("document.getElementById('download').href.includes('/v1/jobs/')")
    second = studio.render(speech(2))
    studio.wait_until_done()
    with studio.page.expect_response(f"**/v1/jobs/{first}/video"):
        held[0].continue_()
    assert (studio.locate("#download").get_attribute("href") or "").endswith(f"/v1/jobs/{second}/video")
    with studio.page.expect_download() as download:
        studio.page.get_by_text("Download", exact=True).click()
    assert download.value.suggested_filename == f"anna-{second}.mp4"
    assert len(decode(download.value.path()).frames) == 50


def test_no_link_to_the_last_video_stays_while_another_is_made(studio: Studio, speech: Speech) -> None:
    studio.render(speech(1))
    studio.wait_until_done()
    studio.page.route("**/v1/jobs/*/events", lambda route: None)  # the next one never ends
    studio.render(speech(1))
    link = studio.locate("#download")
    assert link.evaluate("link => [link.getAttribute('href'), link.download]") == [None, ""]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_the_page_fits_its_window(
    open_studio: OpenStudio, server: Server, speech: Speech, width: int, dark: bool
) -> None:
    studio = open_studio(width=width, dark=dark)
    name = f"{width}{'-dark' if dark else ''}"
    expect(studio.card("anna")).to_be_visible()
    studio.picture(f"{name}-begin")
    studio.render(speech(8))
    studio.wait_until_playing()
    studio.picture(f"{name}-running")
    studio.wait_until_done()
    studio.picture(f"{name}-done")
    assert studio.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_head_that_was_cut_out_plays_over_whatever_lies_behind_it(
    open_studio: OpenStudio, server: Server, speech: Speech, tmp_path: Path
) -> None:
    video = cutout(tmp_path / "cutout.webm", 25)
    made = server.client.post("/v1/avatars", data={"id": "cutout"}, files={"video": video.read_bytes()})
    assert made.status_code == 201, made.text
    answer = server.client.post(
        "/v1/avatars/cutout/renders",
        data={"format": "webm"},
        files={"audio": speech(1).read_bytes()},
    )
    job_id = answer.headers["content-location"].rsplit("/", 1)[1]
    studio = open_studio(path=f"/#{job_id}")
    studio.wait_until_done()
    video_element = studio.locate("#video")
    video_element.evaluate("video => { video.style.background = 'rgb(0, 200, 80)'; video.play(); }")
    studio.wait("document.getElementById('video').currentTime > 0.2")
    video_element.evaluate("video => video.pause()")
    shown = """video => {
      const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      const context = canvas.getContext("2d");
      context.drawImage(video, 0, 0);
      const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
      return { corner: at(3, 3), face: at(canvas.width / 2, canvas.height / 2) };
    }"""
    seen = video_element.evaluate(shown)
    assert seen["corner"][3] == 0
    assert seen["face"][3] == 255
    video_element.screenshot(path=tmp_path / "stage.png")
    with studio.page.expect_download() as download:
        studio.page.get_by_text("Download", exact=True).click()
    assert download.value.suggested_filename == f"cutout-{job_id}.webm"
