"""The resources that the API returns, field by field."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from app.avatars.manifest import Manifest
from app.deliveries import webhook
from app.jobs.job import Delivery, DeliveryKind, DeliveryState, Job, JobKind, JobState, utc_now


class Source(BaseModel):
    """The video that an avatar was made from."""

    sha256: str
    filename: str


class Warned(BaseModel):
    """Something that was changed, dropped or is doubtful."""

    code: str = Field(description="Stable; branch on it.")
    detail: str = Field(description="A sentence.")
    seconds: float | None = Field(description="Duration in seconds, if the warning has one.")


class AvatarLinks(BaseModel):
    """Links of an avatar."""

    self: str
    preview: str
    renders: str


class Avatar(BaseModel):
    """A prepared video, ready to speak."""

    id: str
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    fps: float = Field(description="Frames per second.")
    frame_count: int
    duration: float = Field(description="Seconds.")
    face_frames: int = Field(description="Frames with a face; the others pass through unchanged.")
    created_at: datetime
    implicit: bool = Field(description="Whether a one-call render made it; then it is deleted when unused.")
    source: Source
    warnings: list[Warned] = Field(description="What was changed, dropped or is doubtful.")
    links: AvatarLinks

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return the resource of an avatar on the volume."""
        here = f"/v1/avatars/{manifest.id}"
        return cls(
            id=manifest.id,
            width=manifest.width,
            height=manifest.height,
            fps=float(manifest.fps),
            frame_count=manifest.frame_count,
            duration=manifest.duration,
            face_frames=manifest.face_frames,
            created_at=manifest.created_at,
            implicit=manifest.implicit,
            source=Source(sha256=manifest.source.sha256, filename=manifest.source.filename),
            warnings=[Warned(**warning) for warning in manifest.warnings],
            links=AvatarLinks(self=here, preview=f"{here}/preview.jpg", renders=f"{here}/renders"),
        )


class Progress(BaseModel):
    """Progress of a job."""

    fraction: float = Field(description="Share of finished frames, 0 to 1.")
    frames_done: int
    frames_total: int = Field(description="0 while unknown.")
    fps: float = Field(description="Finished frames per second; 0 while unknown.")
    eta_seconds: float | None = Field(description="Estimated seconds left; null while unknown.")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(description="Stable; branch on it.")
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="A sentence: what is wrong and how to fix it.")


class DamagedAvatar(BaseModel):
    """An avatar that cannot be used, only deleted."""

    id: str
    problem: Problem


class AvatarList(BaseModel):
    """Some avatars, oldest first."""

    avatars: list[Avatar]
    damaged: list[DamagedAvatar] = Field(
        description="All damaged avatars, with their problems; on the first page only."
    )
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class Delivered(BaseModel):
    """Something that is sent out when a job has ended."""

    id: str = Field(description="The same in every attempt; for a webhook also its `webhook-id`.")
    kind: DeliveryKind
    url: str = Field(description="The destination, without its query, which may hold a secret.")
    state: DeliveryState
    attempts: int
    status: int | None = Field(description="The receiver's last HTTP status; null if it did not respond.")
    detail: str | None = Field(description="A sentence: why the last attempt failed.")
    next_at: datetime | None = Field(description="The time of the next attempt.")
    delivered_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return the resource of a delivery."""
        return cls.model_validate(delivery | {"url": delivery["url"].partition("?")[0]})


class JobLinks(BaseModel):
    """Links of a job."""

    self: str
    events: str
    video: str | None = Field(description="Null unless it is a render.")
    report: str | None = Field(description="The measurements. Null for a job that makes an avatar.")
    sheet: str | None = Field(
        description="A picture with sample frames. Null for a job that makes an avatar."
    )


class JobResource(BaseModel):
    """An avatar to make or a video to render, and its state."""

    id: str
    kind: JobKind
    state: JobState
    progress: Progress
    avatar_id: str | None = Field(description="Null for a check.")
    filename: str = Field(description="Name of the uploaded file; of two, the audio.")
    video_filename: str | None = Field(description="Name of the video that was sent with the audio.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = Field(description="Number of attempts; more than one if a worker died.")
    error: Problem | None = Field(description="Why it failed, as a problem document.")
    warnings: list[Warned] = Field(description="What was changed, dropped or is doubtful.")
    deliveries: list[Delivered] = Field(description="Webhooks and results to send when the job ends.")
    links: JobLinks

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the resource of a job."""
        running, succeeded = job.state is JobState.RUNNING, job.state is JobState.SUCCEEDED
        return cls(
            id=job.id,
            kind=job.kind,
            state=job.state,
            progress=Progress(
                fraction=1.0 if succeeded else round(job.fraction, 4),
                frames_done=job.frames_done,
                frames_total=job.frames_total,
                fps=round(job.fps, 2),
                eta_seconds=_rounded(job.eta_seconds) if running else None,
            ),
            avatar_id=job.avatar_id or None,
            filename=job.params.get("filename", ""),
            video_filename=job.params.get("video"),
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            attempts=job.attempts,
            error=Problem(**job.error) if job.error else None,
            warnings=[Warned(**warning) for warning in job.warnings],
            deliveries=[Delivered.of(delivery) for delivery in job.deliveries],
            links=links_of(job),
        )


class JobList(BaseModel):
    """Some jobs, newest first."""

    jobs: list[JobResource]
    next_cursor: int | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class Model(BaseModel):
    """The model that is loaded."""

    name: str
    sha256: str
    licence: str
    commercial_use: bool
    source: str | None
    face_size: int = Field(description="Side of the model's face crops, pixels.")
    mouth_offset_ms: float
    reference: str


class Limits(BaseModel):
    """The limits of this installation."""

    max_upload_bytes: int
    max_video_seconds: float
    max_audio_seconds: float
    max_pixels: int
    max_frames: int
    max_queued: int


class Sandbox(BaseModel):
    """The sandbox mechanisms that this kernel supports."""

    files: bool = Field(description="It can only read and write its own folders (Landlock).")
    system_calls: bool = Field(description="It has no network and cannot start programs (seccomp).")


class Info(BaseModel):
    """About this service."""

    version: str
    model: Model
    backend: str = Field(description="What runs the model: openvino, torch or onnxruntime.")
    device: str
    precision: str
    text_to_speech: bool = Field(description="Whether renders accept `text` instead of a file.")
    limits: Limits
    sandbox: Sandbox


def news_of(job: Job) -> dict[str, Any]:
    """Return the body of a webhook: how a job ended, and whether its file was delivered before."""
    settled = [each for each in job.deliveries if each["kind"] == DeliveryKind.RESULT]
    data = JobResource.of(replace(job, deliveries=settled)).model_dump(mode="json")
    return webhook.body(f"job.{job.state.value}", data, job.finished_at or utc_now())


def links_of(job: Job) -> JobLinks:
    """Return where what belongs to a job is found."""
    here, reported = job_path(job.id), job.kind is not JobKind.AVATAR
    return JobLinks(
        self=here,
        events=f"{here}/events",
        video=f"{here}/video" if job.kind is JobKind.RENDER else None,
        report=f"{here}/report" if reported else None,
        sheet=f"{here}/sheet.jpg" if reported else None,
    )


def job_path(job_id: str) -> str:
    """Return the address of a job."""
    return f"/v1/jobs/{job_id}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
