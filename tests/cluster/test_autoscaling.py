"""Machines that come with the queue: Ray's own autoscaler, and machines that are processes here."""

import sys
from pathlib import Path

import pytest

from tests.integration.jobs.conftest import scripted_settings, served
from tests.support.ray_cluster import growing_cluster
from tests.support.waiting import until

pytest.importorskip("ray")
from app.workers.ray_pool import RayPool

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

DRIVER = """
import runpy
from app.workers import ray_driver
ray_driver.LINGER_SECONDS = 2.0
runpy.run_module("tests.support.scripted_ray_driver", run_name="__main__")
"""
DEADLINE = 240


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_workers_come_with_a_queue_of_any_length_and_go_when_it_is_empty(tmp_path: Path) -> None:
    with growing_cluster(2) as address:
        settings = scripted_settings(
            tmp_path / "data",
            avatars_dir=tmp_path / "avatars",
            ray_address=address,
            ray_autoscaling=True,
        )
        pool = RayPool(settings, command=(sys.executable, "-c", DRIVER))
        async with served(settings, pool, attempts=1) as service:
            await until(lambda: pool.size == 1, DEADLINE)
            jobs = [await service.submit(frames=1000, pause=0.5) for _ in range(5)]
            await until(lambda: (pool.size, pool.idle) == (2, 0), DEADLINE)
            for job in jobs:
                await service.scheduler.cancel(job.id)
            await until(lambda: (pool.size, pool.idle) == (1, 1), DEADLINE)
            assert pool.restarts == 0
