"""What the API accepts beside the file of an upload: the options of a request, as a form."""

from typing import Annotated, Any, Final

from pydantic import Field

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

RenderParameters: Final[Any] = form_of(RenderOptions)
"""How a video is rendered."""
