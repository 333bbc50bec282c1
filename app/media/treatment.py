"""What is done to the pictures of a video on their way in, stored with the avatar to be repeatable."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Final

BLUR: Final = "blur"
GREY: Final = "#808080"
"""The background of transparent pictures where none is asked for: mid-grey lies as far from dark hair as from
fair, so that no soft edge of a cut-out stands out as a bright or a dark fringe."""

BACKGROUND: Final = re.compile(rf"#[0-9a-fA-F]{{6}}|{BLUR}")
"""What a caller may write."""
PICTURE: Final = "picture:"
"""Before the SHA-256 of a picture that is the background."""


@dataclass(frozen=True)
class Treatment:
    """What is done beside decoding; by default nothing, as releases before did it.

    ``rotate`` turns clockwise by 0, 90, 180 or 270 degrees. ``background`` is what shows through transparent
    pictures: ``#rrggbb``, ``blur`` for the picture itself, blurred, or ``picture:`` and the hash of another
    one; empty: what lies hidden under them.
    """

    rotate: int = 0
    background: str = ""
    deinterlace: bool = False
    tone_map: bool = False
    deep: bool = False
    """Whether frames have 10 bits, as high dynamic range needs."""
    transparent: bool = False
    """Whether pictures keep their transparency and are laid onto nothing: frames have a fourth plane then."""
    square: bool = False
    """Whether pictures are scaled to square pixels; a probe says so only of a video that has other ones."""

    @property
    def has_backdrop(self) -> bool:
        """Whether the background is a picture."""
        return self.background.startswith(PICTURE)

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored: a field that earlier releases do not know, only where it says something."""
        plain = asdict(self)
        return plain if self.square else {name: plain[name] for name in plain if name != "square"}

    @property
    def behind(self) -> str:
        """The background, in words."""
        return "the background picture" if self.has_backdrop else f"the background {self.background}"


PLAIN: Final = Treatment()
"""Nothing beside decoding."""
AS_SERVED: Final = Treatment(background=GREY, deinterlace=True, tone_map=True, square=True)
"""What footage gets of which nothing else is said."""
