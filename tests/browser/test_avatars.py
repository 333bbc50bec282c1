from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenStudio
from tests.browser.studio import Studio
from tests.support import clips
from tests.support.server import Server

LET_GO = """(source) => new Promise((resolve) => {
  const picture = new Image();
  picture.onload = () => resolve(false);
  picture.onerror = () => resolve(true);
  picture.src = source;
})"""
"""Whether the address of a blob leads to nothing any more."""


def test_a_video_becomes_an_avatar_and_its_preview_is_shown(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    video = clips.talking_head(tmp_path / "Bob (1).MP4", 2.0)
    studio.offer_video(video)
    expect(studio.page.get_by_label("Name")).to_have_value("bob-1")
    studio.button("Create avatar").click()
    expect(studio.locate("#pending progress")).to_be_visible()
    expect(studio.card("bob-1")).to_contain_text("320×240 · 2 s")
    expect(studio.locate("#pending .card")).to_have_count(0)
    studio.wait("document.querySelector('#gallery img').naturalWidth === 320")
    source = studio.locate("#gallery img").first.get_attribute("src") or ""
    assert source.startswith(f"{server.url}/v1/avatars/bob-1/preview.jpg?made=")
    expect(studio.page.get_by_role("radio", name="bob-1")).to_be_checked()


def test_another_avatar_of_the_name_of_one_that_was_deleted_is_shown_as_it_is(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    for width in (320, 160):
        video = clips.talking_head(tmp_path / f"{width}.mp4", 1.0, width=width, height=width)
        studio.make_avatar(video, "again")
        studio.wait(f"document.querySelector('#gallery img').naturalWidth === {width}")
        expect(studio.card("again")).to_contain_text(f"{width}×{width}")
        studio.page.get_by_role("button", name="Delete again").click()
        studio.page.get_by_role("button", name="Delete", exact=True).click()
        expect(studio.card("again")).to_have_count(0)


def test_a_dropped_video_is_taken(studio: Studio, tmp_path: Path) -> None:
    studio.page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File(["no video"], "dropped.mp4"));
          const event = new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
          document.getElementById("new-avatar").dispatchEvent(event);
        }"""
    )
    expect(studio.page.get_by_label("Name")).to_have_value("dropped")


def blank(path: Path) -> Path:
    return clips.write_video(path, [np.full((120, 160, 3), 90, np.uint8)] * 10)


def text(path: Path) -> Path:
    path.write_text("This is no video.")
    return path


def long(path: Path) -> Path:
    return clips.talking_head(path, 6.0, width=160, height=120)


@pytest.mark.parametrize(("name", "make"), [("blank", blank), ("text", text), ("long", long)])
def test_what_is_wrong_with_a_video_is_said_in_the_words_of_the_api(
    studio: Studio, server: Server, tmp_path: Path, name: str, make: Callable[[Path], Path]
) -> None:
    studio.make_avatar(make(tmp_path / "bad.mp4"), name)
    problem = studio.locate("#pending [role=alert]")
    expect(problem).to_be_visible()
    job = server.client.get("/v1/jobs", params={"avatar": name}).json()["jobs"][0]
    expect(problem).to_have_text(job["error"]["detail"])
    studio.button("Dismiss").click()
    expect(studio.locate("#pending .card")).to_have_count(0)


def test_a_taken_name_is_refused_in_the_words_of_the_api(studio: Studio, tmp_path: Path) -> None:
    studio.make_avatar(clips.talking_head(tmp_path / "other.mp4", 1.0), "anna")
    expect(studio.locate("#pending [role=alert]")).to_have_text(
        "There is already an avatar 'anna'; delete it or choose another id."
    )


def test_a_file_that_is_too_large_is_not_sent(studio: Studio, tmp_path: Path) -> None:
    video = tmp_path / "large.mp4"
    video.write_bytes(bytes(6_200_000))
    studio.make_avatar(video, "large")
    expect(studio.locate("#pending [role=alert]")).to_have_text("The file is 6.2 MB; the limit is 6 MB.")


def test_deleting_asks_first(studio: Studio, server: Server, tmp_path: Path) -> None:
    studio.make_avatar(clips.talking_head(tmp_path / "eve.mp4", 1.0), "eve")
    delete = studio.button("Delete eve")
    delete.click()
    expect(studio.locate("#ask")).to_contain_text("Delete eve?")
    studio.button("Keep").click()
    expect(studio.locate("#ask")).to_be_hidden()
    assert server.client.get("/v1/avatars/eve").status_code == 200
    delete.click()
    studio.button("Delete").click()
    expect(studio.card("eve")).to_have_count(0)
    assert server.client.get("/v1/avatars/eve").status_code == 404


def test_an_avatar_in_the_making_is_found_again_after_a_reload(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    video = clips.talking_head(tmp_path / "fay.mp4", 5.0, width=960, height=720)
    with server.worker_stopped():  # else it may be made before it is looked for
        studio.make_avatar(video, "fay")
        expect(studio.locate("#pending .card")).to_contain_text("Starting")
        studio.page.reload()
        expect(studio.locate("#pending .card")).to_contain_text("fay")
        studio.page.evaluate(
            """() => {
              const pending = document.getElementById("pending");
              const note = () => (window.seen += pending.textContent);
              window.seen = "";
              new MutationObserver(note).observe(pending, { childList: true, subtree: true });
            }"""
        )
    expect(studio.card("fay")).to_be_visible()
    expect(studio.locate("#pending .card")).to_have_count(0)
    assert " of 125 frames" in studio.page.evaluate("seen")


def test_an_avatar_that_cannot_be_deleted_stays_and_the_reason_is_seen(studio: Studio) -> None:
    studio.button("Delete anna").click()
    studio.page.context.set_offline(True)
    studio.button("Delete").click()
    expect(studio.locate("#avatars-problem")).to_be_visible()
    expect(studio.locate("#avatars-problem")).to_contain_text("The service does not respond.")
    expect(studio.locate("#live")).not_to_contain_text("deleted")
    studio.page.context.set_offline(False)
    expect(studio.card("anna")).to_be_visible()


def test_an_upload_that_failed_can_be_tried_again_as_it_was(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    studio.page.context.set_offline(True)
    studio.make_avatar(clips.talking_head(tmp_path / "off.mp4", 1.0), "offline")
    expect(studio.locate("#pending [role=alert]")).to_contain_text("The service does not respond.")
    studio.picture("offline")
    studio.page.context.set_offline(False)
    studio.button("Try again").click()
    expect(studio.locate("#pending .card")).to_have_count(0)
    expect(studio.page.get_by_label("Name")).to_have_value("offline")
    studio.button("Create avatar").click()
    expect(studio.card("offline")).to_be_visible()
    server.client.delete("/v1/avatars/offline")


def test_escape_puts_a_chosen_video_away(studio: Studio, tmp_path: Path) -> None:
    studio.offer_video(clips.talking_head(tmp_path / "esc.mp4", 1.0))
    studio.page.get_by_label("Name").press("Escape")
    expect(studio.locate("#video-name")).to_be_hidden()
    expect(studio.locate("#video-file")).to_be_focused()


def test_an_avatar_that_another_has_deleted_counts_as_deleted(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    studio.make_avatar(clips.talking_head(tmp_path / "gone.mp4", 1.0), "gone")
    studio.button("Delete gone").click()
    server.client.delete("/v1/avatars/gone")
    studio.button("Delete").click()
    expect(studio.card("gone")).to_have_count(0)
    expect(studio.locate("#live")).to_have_text("gone was deleted.")
    expect(studio.locate("#avatars-problem")).to_be_hidden()


def test_what_another_tab_has_made_and_deleted_is_seen_on_return(
    studio: Studio, server: Server, open_studio: OpenStudio, tmp_path: Path
) -> None:
    other = open_studio()
    other.make_avatar(clips.talking_head(tmp_path / "zoe.mp4", 1.0), "zoe")
    expect(other.card("zoe")).to_be_visible()
    studio.card("anna").locator("img").click()
    studio.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(studio.card("zoe")).to_be_visible()
    expect(studio.page.get_by_role("radio", name="anna")).to_be_checked()
    server.client.delete("/v1/avatars/zoe")
    studio.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(studio.card("zoe")).to_have_count(0)


def test_the_reason_goes_once_another_avatar_is_chosen(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    studio.make_avatar(clips.talking_head(tmp_path / "ida.mp4", 1.0), "ida")
    studio.button("Delete ida").click()
    studio.page.context.set_offline(True)
    studio.button("Delete").click()
    expect(studio.locate("#avatars-problem")).to_be_visible()
    studio.page.context.set_offline(False)
    studio.card("anna").locator("img").click()
    expect(studio.locate("#avatars-problem")).to_be_hidden()
    server.client.delete("/v1/avatars/ida")


def test_with_a_key_the_picture_of_a_deleted_avatar_is_let_go_of(
    open_studio: OpenStudio, locked: Server, tmp_path: Path
) -> None:
    studio = open_studio(locked)
    studio.give_key()
    studio.make_avatar(clips.talking_head(tmp_path / "una.mp4", 1.0), "una")
    studio.wait("document.querySelector('#gallery img').naturalWidth === 320")
    source = studio.card("una").locator("img").get_attribute("src") or ""
    assert source.startswith("blob:")
    studio.button("Delete una").click()
    studio.button("Delete").click()
    expect(studio.card("una")).to_have_count(0)
    assert studio.page.evaluate(LET_GO, source)


def test_a_picture_that_comes_late_is_not_that_of_another_avatar_of_the_name(
    open_studio: OpenStudio, locked: Server, tmp_path: Path
) -> None:
    preview = "/v1/avatars/late/preview.jpg"
    held: list[Route] = []

    def make(width: int) -> bytes:
        video = clips.talking_head(tmp_path / f"{width}.mp4", 1.0, width=width, height=width)
        locked.client.post("/v1/avatars", data={"id": "late"}, files={"video": video.read_bytes()})
        return locked.client.get(preview).content

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    old = make(320)
    studio = open_studio(locked)
    studio.page.route(f"**{preview}*", hold)
    with studio.page.expect_request(f"**{preview}*"):
        studio.give_key()
    locked.client.delete("/v1/avatars/late")
    make(160)
    studio.make_avatar(clips.talking_head(tmp_path / "other.mp4", 1.0), "other")
    picture = "document.querySelector('#gallery img[alt^=late]')"
    studio.wait(f"{picture}?.naturalWidth === 160")
    with studio.page.expect_response(f"**{preview}*"):
        held[0].fulfill(body=old, content_type="image/jpeg")
    studio.page.wait_for_timeout(300)
    assert studio.page.evaluate(f"{picture}.naturalWidth") == 160
    for avatar in ("late", "other"):
        locked.client.delete(f"/v1/avatars/{avatar}")


def test_many_avatars_are_counted_and_searched(studio: Studio, server: Server) -> None:
    anna = server.client.get("/v1/avatars/anna").json()
    many = [anna | {"id": f"{name}-{n}", "frame_count": n} for name in ("ada", "bo") for n in range(1, 11)]
    page = {"avatars": [*many[:5], anna], "damaged": [], "next_cursor": None}
    studio.page.route("**/v1/avatars?*", lambda route: route.fulfill(json=page))
    studio.page.reload()
    expect(studio.card("ada-1")).to_be_visible()
    expect(studio.locate("#find")).to_be_hidden()
    page["avatars"] = [*many, anna]
    studio.page.reload()
    expect(studio.locate("#count")).to_have_text("21 avatars")
    expect(studio.card("bo-1").last).to_contain_text("320×240 · photo")
    expect(studio.card("bo-2")).to_contain_text("320×240 · 1 s")
    studio.picture("many")
    studio.page.get_by_role("searchbox", name="Find an avatar").fill("Ada-1")
    expect(studio.locate("#count")).to_have_text("2 of 21")
    expect(studio.locate("#gallery .card:visible")).to_have_count(2)
    studio.page.set_viewport_size({"width": 400, "height": 800})
    studio.locate("#sought").fill("")
    shown = "(({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight)"
    assert studio.locate("#gallery").evaluate(shown), "a box that scrolls inside a page that scrolls"


@pytest.mark.parametrize(
    ("field", "problem", "name"),
    [("#sound-file", "#speech-problem", "face.jpg"), ("#video-file", "#avatars-problem", "words.wav")],
)
def test_a_file_of_another_kind_is_refused_at_once(
    studio: Studio, tmp_path: Path, field: str, problem: str, name: str
) -> None:
    (tmp_path / name).write_bytes(b"anything")
    studio.page.set_input_files(field, tmp_path / name)
    expect(studio.locate(problem)).to_contain_text(name)
    expect(studio.locate("#heard")).to_be_hidden()
    expect(studio.locate("#video-name")).to_be_hidden()


def test_photos_can_be_chosen_too(studio: Studio) -> None:
    assert "image/*" in (studio.locate("#video-file").get_attribute("accept") or "").split(",")
    expect(studio.locate("#new-avatar")).to_contain_text("Drop a video or a photo of a face")
