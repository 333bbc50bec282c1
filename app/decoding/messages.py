"""What a worker asks its decoders for, and what they answer: JSON, an object a line.

A decoder says any number of ``frames`` (how many are in the file) and ``alive`` (it is at work), and one of
``answer``, ``failed`` (a problem), ``refused`` (an ``OSError``), ``out_of_memory`` and ``broke`` (what nobody
had foreseen). It may have been taken over by its file: what it says is checked, and believed no more than a
header is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from app.media.findings import Findings
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import VideoInfo
from app.media.sound import Sound
from app.media.treatment import Treatment


@dataclass(frozen=True)
class ProbeVideo:
    """Answered with the video's ``VideoInfo``."""

    video: Path
    limits: VideoLimits
    treatment: Treatment


@dataclass(frozen=True)
class DecodeFrames:
    """Answered with how many frames are in the file, again and again, and with ``Findings`` at the end."""

    video: Path
    info: VideoInfo
    limits: VideoLimits
    file: Path
    most_bytes: int
    backdrop: Path | None = None


@dataclass(frozen=True)
class DecodeSound:
    """Answered with the ``Sound``."""

    audio: Path
    limits: AudioLimits
    track: Path
    speech: Path


Request = ProbeVideo | DecodeFrames | DecodeSound
REQUEST: Final[TypeAdapter[Request]] = TypeAdapter(Request)

VIDEO_INFO: Final = TypeAdapter(VideoInfo)
SOUND: Final = TypeAdapter(Sound)
FINDINGS: Final = TypeAdapter(Findings)
