from typing import Any

from app.avatars.options import AvatarOptions
from app.commands.options import with_options
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
