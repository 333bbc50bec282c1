"""The videos that adapters name in their answers: whoever has the address has the video.

The clients of other services fetch what they made without a key, for there such addresses are open, and hard
to guess. A video that was asked for in our own words is not to be had here.
"""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, Response

from app.api.compat.common import COMPAT
from app.api.dependencies import JOB_PROBLEMS, JobDep, ServicesDep
from app.api.problems import documented
from app.api.videos import FINISHED, finished_video
from app.errors import InvalidRequest, JobNotFound, StorageReadOnly
from app.jobs.job import JobState, format_of
from app.media.formats import Format

router = APIRouter(tags=["compat"])


@router.head("/outputs/{job_id}.{form}", include_in_schema=False)
@router.get(
    "/outputs/{job_id}.{form}",
    response_class=FileResponse,
    responses=documented(InvalidRequest, *JOB_PROBLEMS, StorageReadOnly, also=FINISHED),
)
async def get_output(
    job: JobDep,
    form: Annotated[Format, Path(description="The format of the job's video.")],
    services: ServicesDep,
) -> Response:
    """Fetch a video made for another service's client; needs no key."""
    if COMPAT not in job.params or job.state is not JobState.SUCCEEDED or form != format_of(job.params):
        raise JobNotFound(f"There is no video of a job {job.id!r}.")
    return finished_video(services, job, {})
