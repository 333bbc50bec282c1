"""A render, as Replicate shows it."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from app.api.compat import common
from app.api.compat.common import Asked
from app.jobs.job import Job, JobState

_STATUSES: Final = {
    JobState.QUEUED: "starting",
    JobState.RUNNING: "processing",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
}


class Prediction(BaseModel):
    """A render, as Replicate shows it."""

    model_config = ConfigDict(protected_namespaces=())

    id: str = Field(description="The job's id, or the one that the client gave it.")
    model: str = Field(description="As it was asked for.")
    version: str = Field(description="As it was asked for, or `hidden`.")
    status: str = Field(description="`starting`, `processing`, `succeeded`, `failed` or `canceled`.")
    input: dict[str, Any] = Field(description="The request; long values are shortened.")
    output: str | None = Field(description="Where the video can be fetched.")
    error: str | None = Field(description="Why there is no video: a sentence.")
    logs: str = Field(description="Progress and warnings, one per line.")
    metrics: dict[str, float] = Field(description="When it has ended: `predict_time`, in seconds.")
    urls: dict[str, str] = Field(description="Where to `get` and `cancel` it.")
    created_at: datetime = Field(description="When it was queued.")
    started_at: datetime | None = Field(description="When work on it began.")
    completed_at: datetime | None = Field(description="When it ended.")
    data_removed: bool = Field(False, description="Always false.")


def prediction_of(job: Job) -> Prediction:
    """Return a job as Replicate shows it."""
    asked = Asked.of(job)
    shown = asked.shown or {}
    here = f"{asked.base}/v1/predictions/{quote(asked.id or job.id, safe='')}"
    return Prediction(
        id=asked.id or job.id,
        model=str(shown.get("model") or "mouthpiece/render"),
        version=str(shown.get("version") or "hidden"),
        status=_STATUSES[job.state],
        input=shown.get("input") or {},
        output=common.video_of(job),
        error=common.problem_of(job),
        logs=_logs(job),
        metrics={"predict_time": common.seconds_of(job)} if job.finished_at else {},
        urls={"get": here, "cancel": f"{here}/cancel"},
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.finished_at,
    )


def news_of(job: Job) -> dict[str, Any]:
    """Return what a webhook says of a job that has ended."""
    return prediction_of(job).model_dump(mode="json")


def _logs(job: Job) -> str:
    """Return a line of progress, as the client reads it from the logs, and the warnings."""
    lines = [warning["detail"] for warning in job.warnings]
    if job.frames_total:
        bar = "█" * round(10 * job.fraction)
        percent = int(100 * job.fraction)
        lines.append(f"{percent:3}%|{bar:<10}| {job.frames_done}/{job.frames_total}")
    return "\n".join(lines)
