"""The parameters of requests, besides files, as forms."""

from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import BeforeValidator, Field, WithJsonSchema

from app.api.forms import TEXT, VOICE
from app.avatars.manifest import ID_PATTERN, check_avatar_id
from app.avatars.options import AvatarOptions
from app.errors import InvalidRequest
from app.options import form_of
from app.outside.allowance import MAX_URL_LENGTH
from app.rendering.options import RenderOptions


def _fitting(avatar_id: Any) -> Any:
    try:
        return check_avatar_id(avatar_id) if isinstance(avatar_id, str) else avatar_id
    except InvalidRequest as error:
        raise ValueError(error.detail.rstrip(".")) from None


AvatarId = Annotated[
    str | None,
    BeforeValidator(_fitting),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}),
]
"""The id of an avatar; what does not fit is explained in words."""
AvatarPath = Annotated[str, Path(description="The id of an avatar.")]
_Id = Annotated[
    AvatarId,
    Field(description="1 to 63 characters a-z, 0-9 and '-', not beginning with '-'. Default: a random one."),
]

_WebhookUrl = Annotated[
    str | None,
    Field(
        max_length=MAX_URL_LENGTH,
        description="Receives a webhook when the job ends. Default: `MOUTHPIECE_WEBHOOK_URL`, if set.",
    ),
]

_ResultUrl = Annotated[
    str | None,
    Field(
        max_length=MAX_URL_LENGTH,
        description="Receives the finished file by `PUT`, such as a presigned address of S3, GCS or Azure.",
    ),
]

_DELIVERED: Final[Any] = {"webhook_url": (_WebhookUrl, None), "result_url": (_ResultUrl, None)}

ADDRESSES: Final = frozenset(_DELIVERED)
"""Parameters of what is done when a job has ended, and not of its work."""

AvatarParameters: Final[Any] = form_of(AvatarOptions, id=(_Id, None), webhook_url=(_WebhookUrl, None))
"""How an avatar is made, the id that it gets, and who is told."""

_Text = Annotated[
    str | None,
    Field(
        max_length=10_000,
        description="What the avatar says, instead of `audio`, if the service has a text-to-speech server "
        "(`text_to_speech` at `/v1/info`).",
    ),
]

_Voice = Annotated[
    str | None,
    Field(
        max_length=100,
        description="With `text`: a voice that the text-to-speech server knows.",
    ),
]

_SPOKEN: Final[Any] = {TEXT: (_Text, None), VOICE: (_Voice, None)}

SPEECH: Final = frozenset(_SPOKEN)
"""What of a form becomes sound before the job is made."""

RenderParameters: Final[Any] = form_of(RenderOptions, **_DELIVERED, **_SPOKEN)
"""How a video is rendered, what is said if no sound is sent, and where it goes."""
_Avatar = Annotated[AvatarId, Field(description="The id of an avatar that speaks, instead of a `video`.")]

OneCallParameters: Final[Any] = form_of(
    AvatarOptions, RenderOptions, **_DELIVERED, avatar=(_Avatar, None), **_SPOKEN
)
"""How an avatar is made and a video rendered with it, or which avatar it is."""
