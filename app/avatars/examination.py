"""How well the person in a video will speak: what was measured, and what stands in the way."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from app.avatars.doubts import TINY, Doubts, doubts_of
from app.avatars.warned import avatar_notices
from app.faces.types import FaceTrack, has_face
from app.media.findings import Findings
from app.media.frames import Plane
from app.media.probe import VideoInfo
from app.media.sharpness import sharpness
from app.mouths.looking import Frames
from app.mouths.meeting import meet
from app.mouths.person import Person
from app.mouths.study import Study
from app.mouths.types import Flags
from app.notices import Notice, NoticeCode

Verdict = Literal["good", "fair", "poor"]

SMALL: Final = 128
"""Height of a face, pixels, below which its mouth is coarse."""
DIM: Final = 60.0
"""Brightness of the cheeks, 0..255, below which shadows hide what a mouth does."""
SOFT, BLURRED = 0.42, 0.36
"""Sharpness of the face, as in :mod:`app.media.sharpness`, from which it looks soft, and blurred."""
OPEN: Final = 0.10
"""How far a mouth opens, above its rest, to show what is inside; in distances of the inner eyes."""
FEW_OPEN_SECONDS: Final = 0.5
"""An open mouth that is seen for less gives little to lend."""
SOME, MOST = 0.1, 0.5
"""Shares of the frames from which something makes a video fair, and poor; below, it is only told."""
_LEAST_SECONDS: Final = 0.1
"""What lasts for less is hardly noticed."""
_NOTHING_BEFORE: Final = "It stays as it is there. Film it with nothing before the mouth."
_FROM_THE_FRONT: Final = "Film it from the front."
_SAMPLE: Final = 16
"""Frames whose sharpness is measured."""


@dataclass(frozen=True)
class Reason:
    """What stands in the way, or is worth to be known. The codes are stable; ``docs/api.md`` lists them."""

    code: str
    detail: str
    verdict: Verdict
    """What the video is for this reason alone."""
    frames: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Measured:
    """Medians over the frames with a face, unless it says otherwise."""

    face_height: int
    """Pixels."""
    brightness: float
    """Of the cheeks, 0..255."""
    turn: float
    """Degrees away from the camera, which 95 of 100 frames do not exceed."""
    sharpness: float
    """As in :mod:`app.media.sharpness`."""
    open_frames: int
    """Frames whose mouth is open and may be lent."""
    cuts: int
    """Places where another take begins."""


@dataclass(frozen=True)
class Examination:
    """What was found in a video. Frames are those of an avatar that would be made of it."""

    width: int
    height: int
    fps: float
    frame_count: int
    face_frames: int
    measured: Measured
    reasons: list[Reason]
    warnings: list[Notice] = field(default_factory=list)

    @property
    def duration(self) -> float:
        """Length of the video, seconds."""
        return self.frame_count / self.fps

    @property
    def verdict(self) -> Verdict:
        """The worst that a reason says."""
        said = {reason.verdict for reason in self.reasons}
        return "poor" if "poor" in said else "fair" if "fair" in said else "good"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"verdict": self.verdict, "duration": round(self.duration, 3)} | asdict(self)


def examined(
    info: VideoInfo, track: FaceTrack, study: Study, frames: Frames, findings: Findings, turned: int = 0
) -> Examination:
    """Judge a video that was looked at; at least one frame has a face. See :func:`avatar_notices`."""
    fps = float(info.fps)
    person = meet(study, fps)
    doubts = doubts_of(track, study, person, (info.layout.width, info.layout.height))
    measured = _measured(info, track, person, frames, doubts)
    warnings = avatar_notices(info, findings, track, doubts, turned)
    reasons = [
        *_of_size(measured),
        *_of_share("face-lost", "no face is visible", doubts.lost, fps),
        *_of_share("hidden-mouth", "something hides the mouth", doubts.hidden, fps, _NOTHING_BEFORE),
        *_of_share("turned-face", "the head is turned far away", doubts.turned, fps, _FROM_THE_FRONT),
        *_of_light(measured, doubts.dark, doubts.bright, fps),
        *_of_sharpness(measured),
        *_of_mouths(measured, person, doubts, fps),
        *_of_takes(measured),
    ]
    if any(warning["code"] == NoticeCode.SEVERAL_FACES for warning in warnings):
        detail = f"{track.faces} faces are visible at once; 'face' says which one speaks."
        reasons.append(Reason("several-faces", detail, "fair"))
    return Examination(
        width=info.layout.width,
        height=info.layout.height,
        fps=fps,
        frame_count=len(track.boxes),
        face_frames=track.face_frames,
        measured=measured,
        reasons=reasons,
        warnings=warnings,
    )


def _measured(info: VideoInfo, track: FaceTrack, person: Person, frames: Frames, doubts: Doubts) -> Measured:
    found = doubts.found
    return Measured(
        face_height=int(np.median(doubts.heights[doubts.heights > 0])),
        brightness=round(float(np.median(doubts.light[found])) if found.any() else 0.0, 1),
        turn=round(float(np.quantile(doubts.turn[found], 0.95)) if found.any() else 0.0, 1),
        sharpness=round(_sharpness(info, track, frames), 3),
        open_frames=int((person.usable & (person.openings >= OPEN)).sum()),
        cuts=doubts.cuts,
    )


def _of_share(code: str, what: str, frames: Flags, fps: float, advice: str = "") -> list[Reason]:
    """Return the reason that something is so in some frames."""
    count = int(frames.sum())
    if count / fps < _LEAST_SECONDS:
        return []
    share = count / len(frames)
    detail = f"For {count / fps:.2f} s, {share:.0%} of the video, {what}. {advice}".rstrip()
    seconds = round(count / fps, 3)
    verdict: Verdict = "poor" if share >= MOST else "fair" if share >= SOME else "good"
    return [Reason(code, detail, verdict, count, seconds)]


def _of_size(measured: Measured) -> list[Reason]:
    if measured.face_height >= SMALL:
        return []
    detail = f"The face is {measured.face_height} pixels high; {SMALL} or more look good. Film it nearer."
    return [Reason("small-face", detail, "poor" if measured.face_height < TINY else "fair")]


def _of_light(measured: Measured, dark: Flags, bright: Flags, fps: float) -> list[Reason]:
    told = _of_share("dark-face", "the face is too dark to show its mouth", dark, fps)
    if not told and measured.brightness < DIM:
        detail = "The face lies in shadow; more light shows more of its mouth."
        told = [Reason("dark-face", detail, "fair")]
    return told + _of_share("bright-face", "the face is too bright to show its mouth", bright, fps)


def _of_sharpness(measured: Measured) -> list[Reason]:
    if measured.sharpness >= SOFT:
        return []
    detail = "The face is not sharp; the mouth will be as soft as the video is."
    return [Reason("soft-face", detail, "poor" if measured.sharpness < BLURRED else "fair")]


def _of_mouths(measured: Measured, person: Person, doubts: Doubts, fps: float) -> list[Reason]:
    seconds = measured.open_frames / fps
    if person.talks and seconds >= FEW_OPEN_SECONDS:
        return []
    if doubts.hidden.sum() > (1 - SOME) * doubts.found.sum():  # nothing is drawn where no mouth is seen
        return []
    detail = (
        f"An open mouth is visible for {seconds:.2f} s; teeth and tongue are drawn instead of taken "
        "from the video. A clip of a few seconds in which the person talks looks better."
    )
    return [Reason("few-open-mouths", detail, "fair", measured.open_frames, round(seconds, 3))]


def _of_takes(measured: Measured) -> list[Reason]:
    if not measured.cuts:
        return []
    often = "once" if measured.cuts == 1 else f"{measured.cuts} times"
    detail = f"The face jumps or the scene changes {often}; each part has only its own mouths to lend."
    return [Reason("cuts", detail, "fair")]


def _sharpness(info: VideoInfo, track: FaceTrack, frames: Frames) -> float:
    """Return the median sharpness of the face over some frames."""
    with_face = np.flatnonzero(has_face(track.boxes))
    chosen = with_face[np.linspace(0, len(with_face) - 1, min(len(with_face), _SAMPLE)).astype(int)]
    frame = np.empty(info.layout.frame_bytes, np.uint8)

    def luma(index: int) -> Plane:
        frames.read_into(index, frame)
        top, bottom, left, right = np.maximum(track.boxes[index], 0).tolist()
        return info.layout.planes(frame)[0][top:bottom, left:right]

    return float(np.median([sharpness(luma(index)) for index in chosen.tolist()]))
