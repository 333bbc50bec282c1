"""What decoding a video revealed, and the warnings about it."""

from dataclasses import dataclass
from typing import Final

from app.notices import Notice, NoticeCode, notice

_UNSTEADY: Final = 0.02
"""Share of pictures repeated or left out from which on a frame rate counts as varying."""


@dataclass
class Findings:
    """Counts pictures, in the order of decoding."""

    pictures: int = 0
    repeated: int = 0
    left_out: int = 0
    interlaced: int = 0
    tone_mapped: int = 0
    transparent: int = 0
    stretched: int = 0
    """Pictures of another aspect ratio than the first; a decoder may tell a new one some pictures early."""

    def notices(self, behind: str) -> list[Notice]:
        """Return the warnings; ``behind`` is what transparent pictures were laid onto, in words."""
        told = []
        if self.transparent:
            detail = (
                f"The video has transparent parts; an MP4 shows {behind} there, a WebM or a MOV keeps them."
            )
            told.append(notice(NoticeCode.ALPHA_FLATTENED, detail))
        if self.tone_mapped:
            detail = "The video has high dynamic range; it was mapped to BT.709."
            told.append(notice(NoticeCode.HDR_MAPPED, detail))
        if self.interlaced:
            told.append(notice(NoticeCode.DEINTERLACED, "The video is interlaced; it was deinterlaced."))
        if self.stretched:
            detail = (
                "The aspect ratio changes within the video; frames of another one were stretched to that of "
                "the first. Send each part by itself."
            )
            told.append(notice(NoticeCode.ASPECT_RATIO_CHANGES, detail))
        if self.repeated + self.left_out > max(1, _UNSTEADY * self.pictures):
            detail = (
                f"The frame rate varies; it was made constant: {self.repeated} frames were repeated, "
                f"{self.left_out} dropped."
            )
            told.append(notice(NoticeCode.RATE_MADE_CONSTANT, detail))
        return told
