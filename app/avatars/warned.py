"""The warnings about an avatar."""

from typing import Final

from app.avatars.doubts import FAR_TURN, TINY, Doubts
from app.faces.types import FaceTrack
from app.media.findings import Findings
from app.media.probe import VideoInfo
from app.mouths.types import Flags
from app.notices import Notice, NoticeCode, notice

_NOTED_SECONDS: Final = 0.1
"""What lasts for less is hardly noticed."""


def avatar_notices(
    info: VideoInfo, findings: Findings, track: FaceTrack, doubts: Doubts, turned: int = 0
) -> list[Notice]:
    """Return the warnings about a video that was decoded and whose face was followed.

    ``turned`` is by how many degrees it was turned clockwise though nobody asked for that.
    """
    told = findings.notices(info.treatment.behind)
    if info.treatment.square:
        detail = (
            f"The video's pixels are not square; it was scaled to {info.layout.width}x{info.layout.height}."
        )
        told.append(notice(NoticeCode.PIXELS_MADE_SQUARE, detail))
    if turned:
        detail = f"The video was rotated by {turned} degrees clockwise to make the face upright."
        told.append(notice(NoticeCode.ROTATED, detail))
    if track.faces > 1:
        detail = f"{track.faces} faces are visible at once; one was chosen. 'face' selects another."
        told.append(notice(NoticeCode.SEVERAL_FACES, detail))
    if doubts.cuts:
        times = "once" if doubts.cuts == 1 else f"{doubts.cuts} times"
        detail = f"The scene changes or the face jumps {times}; each part has only its own mouths to lend."
        told.append(notice(NoticeCode.CUTS, detail))
    lasting: list[tuple[NoticeCode, Flags, str]] = [
        (
            NoticeCode.FACE_LOST,
            doubts.lost,
            "The face is not visible for {}; those frames pass through unchanged.",
        ),
        (
            NoticeCode.HIDDEN_MOUTH,
            doubts.hidden,
            "Something hides the mouth for {}; those frames pass through unchanged.",
        ),
        (
            NoticeCode.SMALL_FACE,
            doubts.tiny,
            f"The face is less than {TINY} pixels high for {{}}; film it nearer, or send a larger video.",
        ),
        (
            NoticeCode.TURNED_FACE,
            doubts.turned,
            f"The head is turned by more than {FAR_TURN:.0f} degrees for {{}}; the mouth may look wrong.",
        ),
        (
            NoticeCode.CROPPED_FACE,
            doubts.cropped,
            "The chin or a part of the lips is outside of the picture for {}: the mouth opens beyond the "
            "border, or stays as it is where the lips are cut. Film less close.",
        ),
    ]
    for code, frames, detail in lasting:
        seconds = float(int(frames.sum()) / info.fps)
        if seconds >= _NOTED_SECONDS:
            told.append(notice(code, detail.format(f"{seconds:.2f} s"), seconds))
    return told
