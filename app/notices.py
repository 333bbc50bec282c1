"""What was changed, dropped or doubtful although all went well: the warnings of avatars and jobs.

The codes are stable: clients branch on ``code``, never on the sentence. ``docs/api.md`` lists them.
"""

from enum import StrEnum

from typing_extensions import TypedDict  # pydantic reads it, and before Python 3.12 only this one


class NoticeCode(StrEnum):
    """What a warning is about."""

    ALPHA_FLATTENED = "alpha-flattened"
    """Transparent parts of the pictures were laid onto a background."""
    HDR_MAPPED = "hdr-mapped"
    """The video's high dynamic range was mapped to that of BT.709."""
    DEINTERLACED = "deinterlaced"
    """Interlaced pictures were made whole ones."""
    ROTATED = "rotated"
    """The pictures were turned, so that the face is upright."""
    RATE_MADE_CONSTANT = "rate-made-constant"
    """The frame rate varies: pictures were repeated or left out."""
    SEVERAL_FACES = "several-faces"
    """More than one face is to be seen, and one was chosen."""
    FACE_LOST = "face-lost"
    """For ``seconds`` the face is not to be seen, and the pictures pass as they are."""
    QUIET_SOUND = "quiet-sound"
    """The sound is so quiet that little may be heard, or silent."""
    CLIPPED_SOUND = "clipped-sound"
    """The recording is distorted for ``seconds``: it was too loud for its format."""
    OUT_OF_PHASE_SOUND = "out-of-phase-sound"
    """The channels cancel each other for ``seconds``; the mouth follows the strongest one."""
    GAPS_IN_SOUND = "gaps-in-sound"
    """The sound's clock jumps: silence of ``seconds`` was put where nothing was recorded."""
    LATE_SOUND = "late-sound"
    """The video's sound begins ``seconds`` after its pictures: silence was put before it."""
    SOUND_LONGER_THAN_CLIP = "sound-longer-than-clip"
    """The sound goes on for ``seconds`` after the clip's end; the clip is played on as ``loop`` says."""
    SOUND_CUT = "sound-cut"
    """The last ``seconds`` of the sound are left out: the video ends before them, as ``length`` says."""
    WITHOUT_EFFECT = "without-effect"
    """A parameter changes nothing here: the sentence names it."""
    UNKNOWN_FIELDS = "unknown-fields"
    """The request has fields that mean nothing here; they were ignored."""


class Notice(TypedDict):
    """One warning as plain data, as it is stored and sent. ``seconds`` is None where no time is meant."""

    code: str
    detail: str
    seconds: float | None


def notice(code: NoticeCode, detail: str, seconds: float | None = None) -> Notice:
    """Return a warning; ``detail`` is a sentence, ``seconds`` is rounded to milliseconds."""
    return Notice(code=code.value, detail=detail, seconds=None if seconds is None else round(seconds, 3))
