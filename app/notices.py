"""Warnings about avatars and jobs that succeeded: what was changed, dropped or is doubtful.

The codes are stable: clients branch on ``code``, never on the text. ``docs/api.md`` lists them.
"""

from enum import StrEnum

from typing_extensions import TypedDict  # pydantic reads it, and before Python 3.12 only this one


class NoticeCode(StrEnum):
    """What a warning is about."""

    ALPHA_FLATTENED = "alpha-flattened"
    """Transparent parts were filled with the background."""
    HDR_MAPPED = "hdr-mapped"
    """High dynamic range was mapped to BT.709."""
    DEINTERLACED = "deinterlaced"
    """The video was deinterlaced."""
    PIXELS_MADE_SQUARE = "pixels-made-square"
    """The video's pixels are not square, and it was scaled."""
    ASPECT_RATIO_CHANGES = "aspect-ratio-changes"
    """The aspect ratio changes within the video: pictures were stretched to that of the first."""
    ROTATED = "rotated"
    """The video was rotated to make the face upright."""
    RATE_MADE_CONSTANT = "rate-made-constant"
    """The frame rate varies: frames were repeated or dropped."""
    SEVERAL_FACES = "several-faces"
    """Several faces are visible, and one was chosen."""
    FACE_LOST = "face-lost"
    """The face is not visible for ``seconds``; those frames pass through unchanged."""
    HIDDEN_MOUTH = "hidden-mouth"
    """Something hides the mouth for ``seconds``; those frames pass through unchanged."""
    SMALL_FACE = "small-face"
    """The face is too small for ``seconds`` to show its mouth."""
    TURNED_FACE = "turned-face"
    """The head is turned far away for ``seconds``."""
    CROPPED_FACE = "cropped-face"
    """The chin, or a part of the lips, is outside of the picture for ``seconds``."""
    CUTS = "cuts"
    """The scene changes, or the face jumps."""
    MOUTH_UNCHANGED = "mouth-unchanged"
    """Hardly any mouth could be changed: for ``seconds`` the footage is as it was."""
    NO_SPEECH = "no-speech"
    """The audio has music or noise without speech for ``seconds``: the mouth rests."""
    QUIET_SOUND = "quiet-sound"
    """The audio is silent, or too quiet to follow reliably."""
    CLIPPED_SOUND = "clipped-sound"
    """The audio is clipped for ``seconds``."""
    OUT_OF_PHASE_SOUND = "out-of-phase-sound"
    """The channels cancel each other for ``seconds``; the mouth follows the strongest one."""
    GAPS_IN_SOUND = "gaps-in-sound"
    """The audio's timestamps jump: ``seconds`` of silence fill the gaps."""
    EARLY_SOUND = "early-sound"
    """The first ``seconds`` of the audio come before the first picture: they are left out."""
    LATE_SOUND = "late-sound"
    """The audio starts ``seconds`` after the video: silence fills the gap."""
    SOUND_LONGER_THAN_CLIP = "sound-longer-than-clip"
    """The audio lasts ``seconds`` longer than the clip, which continues as ``loop`` says."""
    SOUND_CUT = "sound-cut"
    """The last ``seconds`` of the audio were cut: the video ends before them, as ``length`` says."""
    VOICE_LENGTH = "voice-length"
    """The voice is ``seconds`` longer or shorter than the audio."""
    WITHOUT_EFFECT = "without-effect"
    """A parameter has no effect here; the text names it."""
    UNKNOWN_FIELDS = "unknown-fields"
    """The request has unknown fields; they were ignored."""


class Notice(TypedDict):
    """One warning as plain data, as it is stored and sent. ``seconds`` is None if it has no duration."""

    code: str
    detail: str
    seconds: float | None


def notice(code: NoticeCode, detail: str, seconds: float | None = None) -> Notice:
    """Return a warning; ``detail`` is a sentence, ``seconds`` is rounded to milliseconds."""
    return Notice(code=code.value, detail=detail, seconds=None if seconds is None else round(seconds, 3))
