"""What the API tells of what was measured: the check of a video, and the receipt of a render."""

from typing import Literal, Self

from pydantic import BaseModel, Field

from app.api.models import JobLinks, Warned, links_of
from app.jobs.job import Job


class Reason(BaseModel):
    """A reason for a verdict."""

    code: str = Field(description="Stable; branch on it.")
    detail: str = Field(description="A sentence.")
    verdict: Literal["good", "fair", "poor"] = Field(description="The verdict for this reason alone.")
    frames: int | None = Field(description="Number of frames, if the reason concerns frames.")
    seconds: float | None = Field(description="Duration in seconds, if the reason has one.")


class Measured(BaseModel):
    """Measurements of a video: medians over the frames with a face, unless stated otherwise."""

    face_height: int = Field(description="Pixels.")
    brightness: float = Field(description="Of the cheeks, 0 to 255.")
    turn: float = Field(description="Degrees away from the camera (95th percentile).")
    sharpness: float = Field(description="Of the face: 0.5 and above is sharp, 0.42 soft, 0.36 blurred.")
    open_frames: int = Field(description="Frames whose mouth is open and may be lent.")
    cuts: int = Field(description="Places where the scene changes or the face jumps.")


class CheckReport(BaseModel):
    """How well the person in a video will speak."""

    verdict: Literal["good", "fair", "poor"] = Field(description="The worst verdict of all reasons.")
    reasons: list[Reason] = Field(description="Why; empty if nothing is to be said.")
    measured: Measured = Field(description="What was measured.")
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    fps: float = Field(description="Frames per second.")
    frame_count: int = Field(description="Number of frames.")
    face_frames: int = Field(description="Frames with a face.")
    duration: float = Field(description="Seconds.")
    warnings: list[Warned] = Field(description="The warnings that the avatar would have.")


class Check(CheckReport):
    """The response to a check: the report, and its links."""

    links: JobLinks = Field(description="Where the report and the sheet are kept.")

    @classmethod
    def of(cls, job: Job, report: bytes) -> Self:
        """Return the answer of a check that has ended."""
        known = CheckReport.model_validate_json(report)
        return cls(**known.model_dump(), links=links_of(job))


class Lengths(BaseModel):
    """Durations, seconds."""

    sound: float = Field(description="The audio that was sent.")
    clip: float = Field(description="The part of the avatar's video that is used.")
    video: float = Field(description="The video track of the result.")
    audio: float = Field(description="The audio track of the result.")


class FrameKinds(BaseModel):
    """Number of frames by kind of mouth."""

    total: int = Field(description="All frames.")
    lent: int = Field(description="A mouth lent by the footage.")
    painted: int = Field(description="A mouth that a model generated, or whose inside was drawn.")
    passed: int = Field(description="Unchanged: no face, a hidden mouth, or one that was kept.")


class Compared(BaseModel):
    """A median over the measured frames, and the same for their footage."""

    result: float = Field(description="In the rendered video.")
    footage: float = Field(description="At the same place in the footage.")


class Following(BaseModel):
    """How the opening of the mouth follows the loudness of the audio."""

    correlation: float = Field(description="At the best lag, -1 to 1.")
    lag: float | None = Field(
        description="Seconds; above 0 the mouth is later than the audio. Null where the correlation may be "
        "chance."
    )


class UsedModel(BaseModel):
    """The model that a render was made with."""

    name: str = Field(description="Its name.")
    sha256: str = Field(description="SHA-256 of its file, hexadecimal.")


class RenderReceipt(BaseModel):
    """The quality of a render. Null where nothing could be measured."""

    length: Lengths = Field(description="Durations.")
    offset: float = Field(description="Seconds by which the result's audio starts after its video.")
    frames: FrameKinds
    measured_frames: int = Field(description="Frames of the result that were decoded and measured.")
    seam: Compared | None = Field(description="Mean Delta E (CIE76) across the edge of the mask.")
    sharpness: Compared | None = Field(description="Fine detail of the mouth, steps of 0 to 255.")
    following: Following | None = Field(description="How the mouth follows the audio.")
    stage_seconds: dict[str, float] = Field(description="Busy seconds of each stage; stages overlap.")
    model: UsedModel = Field(description="The model that was used.")
