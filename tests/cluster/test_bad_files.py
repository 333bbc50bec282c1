"""Files that crash whatever opens them, on a cluster of two machines."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.job import JobState
from app.settings import Settings
from tests.integration.jobs.conftest import Service, served
from tests.support.ray_cluster import ray_cluster
from tests.support.waiting import until

pytest.importorskip("ray")
from app.workers.ray_pool import RayPool

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
COMMAND = (sys.executable, "-m", "tests.support.scripted_ray_driver")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service[RayPool]]:
    """A scheduler on a cluster of two machines with scripted workers."""
    with ray_cluster(2) as cluster:
        settings = Settings(
            data_dir=tmp_path / "data",
            avatars_dir=tmp_path / "avatars",
            model=Path("fine.onnx"),
            log_level="error",
            device="cpu",
            ray_address=cluster.address,
        )
        async with served(settings, RayPool(settings, command=COMMAND), attempts=3) as service:
            await until(lambda: service.pool.size == 2, 60)
            yield service


async def test_a_file_that_crashes_every_worker_is_tried_three_times_and_others_go_on(
    service: Service[RayPool],
) -> None:
    bad = await service.submit(misbehave="crash")
    others = [await service.submit(frames=20, pause=0.2) for _ in range(4)]
    bad = await service.outcome(bad)
    assert (bad.state, bad.attempts, bad.deaths) == (JobState.FAILED, 3, 3)
    assert bad.error is not None
    assert bad.error["type"].endswith(":render-process-crashed")
    ends = [await service.outcome(job) for job in others]
    assert [(job.state, job.attempts) for job in ends] == [(JobState.SUCCEEDED, 1)] * 4
    assert service.pool.restarts == 3
