"""The warnings about an avatar."""

from typing import Final

from app.faces.types import FaceTrack
from app.media.findings import Findings
from app.media.probe import VideoInfo
from app.notices import Notice, NoticeCode, notice

_NOTED_SECONDS: Final = 0.1
"""A face that is out of sight for less is hardly missed."""


def avatar_notices(info: VideoInfo, findings: Findings, track: FaceTrack) -> list[Notice]:
    """Return the warnings about a video that was decoded and whose face was followed."""
    told = findings.notices(info.treatment.background)
    if info.treatment.rotate:
        detail = (
            f"The video was rotated by {info.treatment.rotate} degrees clockwise to make the face upright."
        )
        told.append(notice(NoticeCode.ROTATED, detail))
    if track.faces > 1:
        detail = f"{track.faces} faces are visible at once; one was chosen. 'face' selects another."
        told.append(notice(NoticeCode.SEVERAL_FACES, detail))
    lost = float((len(track.boxes) - track.face_frames) / info.fps)
    if lost >= _NOTED_SECONDS:
        detail = f"The face is not visible for {lost:.2f} s; those frames pass through unchanged."
        told.append(notice(NoticeCode.FACE_LOST, detail, lost))
    return told
