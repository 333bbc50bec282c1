"""The resources that the API returns, field by field."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from app.avatars.manifest import Manifest
from app.deliveries import webhook
from app.jobs.job import Delivery, DeliveryKind, DeliveryState, Job, JobKind, JobState, utc_now


class Source(BaseModel):
    """The video that an avatar was made from."""

    sha256: str = Field(description="SHA-256 of the file, hexadecimal.")
    filename: str = Field(description="Its name, as it was sent.")


class Warned(BaseModel):
    """Something that was changed, dropped or is doubtful."""

    model_config = ConfigDict(title="Warning")

    code: str = Field(description="Stable; branch on it.")
    detail: str = Field(description="A sentence.")
    seconds: float | None = Field(description="Duration in seconds, if the warning has one.")


class AvatarLinks(BaseModel):
    """Links of an avatar."""

    self: str = Field(description="The avatar.")
    preview: str = Field(description="A JPEG of one frame with the face box and the mask.")
    renders: str = Field(description="Where audio is sent for it to say.")


class Avatar(BaseModel):
    """A prepared video, ready to speak."""

    id: str = Field(description="Its name in the paths of the API.")
    width: int = Field(description="Pixels, an even number: of an odd one, the last column is cut.")
    height: int = Field(description="Pixels, an even number: of an odd one, the last row is cut.")
    fps: float = Field(description="Frames per second.")
    frame_count: int = Field(description="Number of frames.")
    duration: float = Field(description="Seconds.")
    face_frames: int = Field(description="Frames with a face; the others pass through unchanged.")
    created_at: datetime = Field(description="When it was made, UTC.")
    implicit: bool = Field(description="Whether a one-call render made it; then it is deleted when unused.")
    source: Source = Field(description="The video that it was made from.")
    warnings: list[Warned] = Field(description="What was changed, dropped or is doubtful.")
    links: AvatarLinks = Field(description="Where to find what belongs to it.")

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
    frames_done: int = Field(description="Number of finished frames.")
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

    id: str = Field(description="The id to delete it by.")
    problem: Problem = Field(description="What is wrong with it.")


class AvatarList(BaseModel):
    """Some avatars, oldest first."""

    avatars: list[Avatar] = Field(description="Those of this page.")
    damaged: list[DamagedAvatar] = Field(
        description="All damaged avatars, with their problems; on the first page only."
    )
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class Delivered(BaseModel):
    """Something that is sent out when a job has ended."""

    model_config = ConfigDict(title="Delivery")

    id: str = Field(description="The same in every attempt; for a webhook also its `webhook-id`.")
    kind: DeliveryKind = Field(description="What is sent: the news of the job's end, or its file.")
    url: str = Field(description="The destination, without its query, which may hold a secret.")
    state: DeliveryState = Field(description="`waiting` also between attempts.")
    attempts: int = Field(description="Number of attempts.")
    status: int | None = Field(description="The receiver's last HTTP status; null if it did not respond.")
    detail: str | None = Field(description="A sentence: why the last attempt failed.")
    next_at: datetime | None = Field(description="The time of the next attempt.")
    delivered_at: datetime | None = Field(description="When it arrived, UTC; null until then.")

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return the resource of a delivery."""
        return cls.model_validate(delivery | {"url": delivery["url"].partition("?")[0]})


class JobLinks(BaseModel):
    """Links of a job."""

    self: str = Field(description="The job.")
    events: str = Field(description="Its server-sent events.")
    video: str | None = Field(description="Null unless it is a render.")
    report: str | None = Field(description="The measurements. Null for a job that makes an avatar.")
    sheet: str | None = Field(
        description="A picture with sample frames. Null for a job that makes an avatar."
    )


class JobResource(BaseModel):
    """An avatar to make or a video to render, and its state."""

    model_config = ConfigDict(title="Job")

    id: str = Field(description="Generated; its name in the paths of the API.")
    kind: JobKind = Field(description="What is made.")
    state: JobState = Field(description="The last three are final.")
    progress: Progress = Field(description="How far it is.")
    avatar_id: str | None = Field(description="Null for a check.")
    filename: str = Field(description="Name of the uploaded file; of two, the audio.")
    video_filename: str | None = Field(description="Name of the video that was sent with the audio.")
    created_at: datetime = Field(description="When it was submitted, UTC.")
    started_at: datetime | None = Field(description="When work on it began, UTC; null until then.")
    finished_at: datetime | None = Field(description="When it ended, UTC; null until then.")
    attempts: int = Field(description="Number of attempts; more than one if a worker died.")
    error: Problem | None = Field(description="Why it failed, as a problem document.")
    warnings: list[Warned] = Field(description="What was changed, dropped or is doubtful.")
    deliveries: list[Delivered] = Field(description="Webhooks and results to send when the job ends.")
    links: JobLinks = Field(description="Where to find what belongs to it.")

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

    jobs: list[JobResource] = Field(description="Those of this page.")
    next_cursor: int | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class Model(BaseModel):
    """The model that is loaded."""

    name: str = Field(description="Its name.")
    sha256: str = Field(description="SHA-256 of its file, hexadecimal.")
    licence: str = Field(description="What may be done with it.")
    commercial_use: bool = Field(description="Whether the licence allows commercial use.")
    source: str | None = Field(description="Where it comes from.")
    face_size: int = Field(description="Side of the model's face crops, pixels.")
    mouth_offset_ms: float = Field(
        description="Milliseconds by which the model's mouths come late, and are moved back."
    )
    reference: str = Field(
        description="Face that the model is shown beside the one to change: `frame`, `closed` or `nearest`."
    )


class Limits(BaseModel):
    """The limits of this installation."""

    max_upload_bytes: int = Field(description="Size of an upload, bytes.")
    max_video_seconds: float = Field(description="Duration of an avatar's video, seconds.")
    max_audio_seconds: float = Field(description="Duration of audio, seconds.")
    max_pixels: int = Field(description="Pixels in a frame of an avatar's video.")
    max_frames: int = Field(description="Frames of a render.")
    max_queued: int = Field(description="Queued jobs; with more, requests are answered 503.")


class Sandbox(BaseModel):
    """The sandbox mechanisms that this kernel supports."""

    files: bool = Field(description="It can only read and write its own folders (Landlock).")
    system_calls: bool = Field(description="It has no network and cannot start programs (seccomp).")


class Info(BaseModel):
    """About this service."""

    version: str = Field(description="Version of Mouthpiece.")
    model: Model
    backend: str = Field(description="What runs the model: openvino, torch or onnxruntime.")
    device: str = Field(description="What it runs on, such as `cpu` or `cuda:0`.")
    precision: str = Field(description="Numbers that it computes with, such as `fp32`.")
    text_to_speech: bool = Field(description="Whether renders accept `text` instead of a file.")
    limits: Limits
    sandbox: Sandbox = Field(description="What confines the processes that read uploads.")


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
