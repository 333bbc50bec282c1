"""The warnings about an avatar."""

from typing import Final

import numpy as np

from app.faces.types import FaceTrack
from app.media.findings import Findings
from app.media.probe import VideoInfo
from app.mouths.person import BRIGHTEST, DARKEST, Flags, Person
from app.mouths.study import Study
from app.notices import Notice, NoticeCode, notice

_NOTED_SECONDS: Final = 0.1
"""A face, or a mouth, that is out of sight for less is hardly missed."""


def hidden_mouths(study: Study, person: Person) -> Flags:
    """Return in which frames something hides the mouth of a face that is there and in enough light."""
    found = np.isfinite(study.meshes).all(axis=(1, 2))
    light = study.skin[:, :3].mean(axis=1)
    hidden: Flags = found & ~person.seen & (light > DARKEST) & (light < BRIGHTEST)
    return hidden


def avatar_notices(info: VideoInfo, findings: Findings, track: FaceTrack, hidden: Flags) -> list[Notice]:
    """Return the warnings about a video that was decoded and whose face was followed.

    ``hidden`` are the frames of :func:`hidden_mouths`.
    """
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
    covered = float(int(hidden.sum()) / info.fps)
    if covered >= _NOTED_SECONDS:
        detail = f"Something hides the mouth for {covered:.2f} s; those frames pass through unchanged."
        told.append(notice(NoticeCode.HIDDEN_MOUTH, detail, covered))
    return told
