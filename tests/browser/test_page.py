import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenStudio
from tests.browser.studio import Studio
from tests.support import clips
from tests.support.server import Server


def test_the_page_allows_nothing_but_the_service_itself(server: Server) -> None:
    for path in ("/", "/studio/main.js", "/studio/studio.css"):
        answer = server.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_says_what_the_service_runs_and_accepts(studio: Studio, server: Server) -> None:
    info = server.client.get("/v1/info").json()
    expect(studio.locate("#service")).to_have_text(f"{info['model']['name']} on {info['device']}")
    expect(studio.locate("#video-limits")).to_have_text("Up to 5 s and 6 MB.")
    expect(studio.locate("#sound-limits")).to_have_text("Up to 1 min.")


def test_everything_that_can_be_used_has_a_name(studio: Studio) -> None:
    expect(studio.card("anna")).to_be_visible()
    tree = studio.locate("body").aria_snapshot()
    controls = re.findall(r"^ *- (button|link|radio|textbox|combobox|spinbutton)\b(.*)$", tree, re.MULTILINE)
    assert len(controls) >= 6
    assert [role for role, rest in controls if not rest.startswith(' "')] == []


def test_an_avatar_is_chosen_and_its_deletion_refused_with_the_keyboard(studio: Studio) -> None:
    anna = studio.page.get_by_role("radio", name="anna")
    anna.focus()
    studio.page.keyboard.press("Space")
    expect(anna).to_be_checked()
    studio.page.keyboard.press("Tab")
    expect(studio.button("Delete anna")).to_be_focused()
    studio.page.keyboard.press("Enter")
    expect(studio.button("Keep")).to_be_focused()
    studio.page.keyboard.press("Escape")
    expect(studio.locate("#ask")).to_be_hidden()
    expect(studio.button("Delete anna")).to_be_focused()


def test_of_many_avatars_the_keyboard_stops_at_the_chosen_one_alone(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    studio.make_avatar(clips.talking_head(tmp_path / "bea.mp4", 1.0), "bea")
    bea = studio.page.get_by_role("radio", name="bea")
    expect(bea).to_be_checked()
    bea.focus()
    studio.page.keyboard.press("Tab")
    expect(studio.button("Delete bea")).to_be_focused()
    studio.page.keyboard.press("Tab")
    expect(studio.locate("#video-file")).to_be_focused()
    studio.page.get_by_role("radio", name="anna").focus()
    studio.page.keyboard.press("Space")
    studio.page.keyboard.press("Tab")
    expect(studio.button("Delete anna")).to_be_focused()
    assert server.client.delete("/v1/avatars/bea").status_code == 204


def test_a_long_name_is_read_whole(studio: Studio, server: Server, tmp_path: Path) -> None:
    name = "a" * 63
    studio.make_avatar(clips.talking_head(tmp_path / f"{name}.mp4", 1.0), name)
    for place in (studio.card(name).locator(".name"), studio.locate(".job a").first):
        expect(place).to_contain_text(name)
        assert place.evaluate("(place) => place.scrollWidth <= place.clientWidth")
    assert server.client.delete(f"/v1/avatars/{name}").status_code == 204


def test_a_page_that_was_opened_while_the_service_was_away_shows_what_there_is(studio: Studio) -> None:
    studio.page.route("**/v1/**", lambda route: route.abort())
    studio.page.goto("/?again#0123456789abcdef")
    expect(studio.locate("#service")).to_contain_text("does not respond")
    expect(studio.locate("#stage-problem")).to_contain_text("does not respond")
    studio.page.unroute("**/v1/**")
    expect(studio.card("anna")).to_be_visible()
    expect(studio.locate("#stage-problem")).not_to_contain_text("does not respond")


def test_who_gives_no_key_is_not_asked_again_meanwhile(open_studio: OpenStudio, locked: Server) -> None:
    studio = open_studio(locked)
    dialog = studio.locate("#key")
    expect(dialog).to_be_visible()
    studio.page.clock.install()
    studio.page.keyboard.press("Escape")
    expect(studio.locate("#service")).to_contain_text("needs an API key")
    studio.page.clock.run_for(60_000)
    expect(dialog).to_be_hidden()
    studio.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back at the tab
    studio.give_key()
    expect(studio.locate("#service")).to_contain_text("on cpu")
    expect(studio.card("anna")).to_be_visible()


def test_files_are_picked_with_the_keyboard(studio: Studio) -> None:
    studio.page.on("filechooser", lambda _: None)  # the browser is told to report them well before it has to
    expect(studio.card("anna")).to_be_visible()
    with studio.page.expect_file_chooser():
        studio.page.get_by_label("choose a file").press("Space")


def test_the_stage_stays_in_sight_but_covers_no_job(studio: Studio) -> None:
    expect(studio.card("anna")).to_be_visible()
    studio.page.set_viewport_size({"width": 1280, "height": 500})
    studio.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    edges = "['stage', 'jobs'].map((id) => document.getElementById(id).getBoundingClientRect())"
    bottom, top = studio.page.evaluate(f"(([stage, jobs]) => [stage.bottom, jobs.top])({edges})")
    assert bottom <= top
