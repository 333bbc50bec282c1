import mimetypes
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.avatars.options import AvatarOptions
from app.commands.options import with_options
from app.commands.speaking import _named
from app.errors import InvalidRequest
from app.rendering.options import RenderOptions

CALLED: list[dict[str, Any]] = []


@with_options(avatar=AvatarOptions, options=RenderOptions)
def command(name: str, *, avatar: Any, options: Any) -> None:
    CALLED.append({"name": name, "avatar": avatar, "options": options})


def test_a_command_is_called_with_the_options_that_are_given_and_the_defaults_of_the_others() -> None:
    command(name="one")
    command(name="two", face="left", quality="draft", fps="30")
    first, second = CALLED
    assert first == {"name": "one", "avatar": AvatarOptions(), "options": RenderOptions()}
    assert (second["avatar"].face, second["options"].quality, second["options"].fps) == ("left", "draft", 30)


@pytest.mark.parametrize(
    ("given", "pads", "rotate"),
    [
        ((), (0.0, 0.05, 0.0, 0.0), None),
        (("--pads", "0,0.1,0,-.1", "--rotate", "auto"), (0.0, 0.1, 0.0, -0.1), None),
        (("--rotate", "90"), (0.0, 0.05, 0.0, 0.0), 90),
    ],
)
def test_a_shell_says_what_the_help_says(
    given: tuple[str, ...], pads: tuple[float, ...], rotate: int | None
) -> None:
    application = typer.Typer()
    application.command()(command)
    done = CliRunner().invoke(application, ["shell", *given], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    avatar = CALLED[-1]["avatar"]
    assert (avatar.pads, avatar.rotate) == (pads, rotate)


@pytest.mark.parametrize("form", ["mp4", "webm", "mov"])
def test_a_name_that_promises_another_format_is_refused(form: Any) -> None:
    endings = (
        "3gp aac apng asf avi caf flac flv gif gz jpg m2t m2ts m4a m4b mka mkv mov mp3 mp4 mts mxf ogg opus "
        "png ts vob wav webm webp zip AVI"
    )
    for ending in {*endings.split()} - {form}:
        with pytest.raises(InvalidRequest, match=rf"would hold {form}: .*name the file talk.{form}."):
            _named(Path(f"talk.{ending}"), RenderOptions(format=form))


def test_an_archive_is_not_what_is_written() -> None:
    with pytest.raises(InvalidRequest, match=r"talk.mp4.gz would hold mp4: name the file talk.mp4\."):
        _named(Path("talk.mp4.gz"), RenderOptions())


@pytest.mark.parametrize("form", ["webm", "mov"])
def test_m4v_is_no_other_format(form: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"would hold {form}"):
        _named(Path("talk.m4v"), RenderOptions(format=form))


def test_what_is_refused_does_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    mimetypes.init()
    monkeypatch.setitem(mimetypes.types_map, ".who", "video/x-who")
    assert _named(Path("Dr.who"), RenderOptions()) == Path("Dr.who")


@pytest.mark.parametrize("name", ["Dr. Who", "talk", "v1.2", "talk.mp4", "talk.m4v", "talk.MP4", "a.txt"])
def test_any_other_dot_is_part_of_a_name(name: str) -> None:
    assert _named(Path(name), RenderOptions()) == Path(name)
