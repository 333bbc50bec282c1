"""What the API accepts beside the file of an upload: the options of a request, as a form."""

from typing import Annotated, Any, Final

from pydantic import Field

from app.api.forms import TEXT, VOICE
from app.avatars.manifest import ID_PATTERN
from app.avatars.options import AvatarOptions
from app.options import form_of
from app.rendering.options import RenderOptions

_Id = Annotated[
    str | None,
    Field(
        pattern=f"^{ID_PATTERN.pattern}$",
        description="1 to 63 characters a-z, 0-9 and '-', not beginning with '-'. Default: a random one.",
    ),
]

AvatarParameters: Final[Any] = form_of(AvatarOptions, id=(_Id, None))
"""How an avatar is made, and the id that it gets."""

_Text = Annotated[
    str | None,
    Field(
        max_length=10_000,
        description="What the avatar shall say, instead of `audio`, where the service has a text-to-speech "
        "server: `text_to_speech` of `/v1/info`.",
    ),
]

_Voice = Annotated[
    str | None,
    Field(max_length=100, description="With `text`: a voice that the text-to-speech server knows."),
]

SPEECH: Final = frozenset({TEXT, VOICE})
"""What of a form becomes sound before the job is made."""

RenderParameters: Final[Any] = form_of(RenderOptions, text=(_Text, None), voice=(_Voice, None))
"""How a video is rendered, and what is said if no sound is sent."""
_Avatar = Annotated[
    str | None,
    Field(
        pattern=f"^{ID_PATTERN.pattern}$",
        description="The id of an avatar that speaks, instead of a `video`.",
    ),
]

OneCallParameters: Final[Any] = form_of(
    AvatarOptions, RenderOptions, avatar=(_Avatar, None), text=(_Text, None), voice=(_Voice, None)
)
"""How an avatar is made and a video rendered with it, or which avatar it is."""
