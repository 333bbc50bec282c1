"""Whose turn it is: waiting clients and batches, short and long renders, keys, workers that join."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.job import JobState
from app.jobs.turn import Limits
from tests.support.pretending import FPS, Pretended, frames_of
from tests.support.scheduling import running

pytestmark = pytest.mark.anyio


async def test_jobs_of_one_kind_are_done_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        submitted = [await service.submit() for _ in range(4)]
        order = [service.pool.history[0].job_id, *await service.finish_all()]
        assert list(dict.fromkeys(order)) == submitted
        assert order == [job_id for job_id in submitted for _ in range(3)]


async def test_who_waits_comes_before_a_batch(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        first, second = await service.submit(), await service.submit()
        waits = await service.submit(waited_for=True)
        await service.finish(first)
        assert [each.call.job_id for each in service.pool.running] == [waits]
        order = await service.finish_all()
        assert list(dict.fromkeys(order)) == [waits, first, second]


async def test_a_batch_is_never_left_out_for_long(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        held = await service.submit(waited_for=True)
        batch = await service.submit()
        for _ in range(20):
            await service.submit(waited_for=True)
        order = await service.finish_all()
        assert order.index(batch) <= 16
        assert held in order


async def test_a_short_render_starts_within_one_segment_behind_an_hour_long_one(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        long = await service.submit(3600.0)
        await service.finish(long)
        encoding = service.pool.find(long)
        assert (len(encoding.call.segments), encoding.gave_way) == (365, False)
        short = await service.submit(waited_for=True)
        assert encoding.gave_way
        await service.finish(long, segments=1)
        assert service.pool.running[0].call.job_id == short
        for _ in range(3):
            await service.finish(short)
        assert (await service.job(short)).state is JobState.SUCCEEDED
        assert service.pool.find(long).call.segments == list(range(1, 365))
        await service.finish_all()
        assert (await service.job(long)).state is JobState.SUCCEEDED


async def test_a_long_render_is_not_forgotten_behind_many_short_ones(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        long = await service.submit(100.0)
        await service.finish(long)
        for _ in range(20):
            await service.submit(waited_for=True)
        await service.finish(long, segments=1)
        order = await service.finish_all()
        assert order.index(long) <= 12


async def test_keys_take_turns_and_none_has_more_under_way_than_its_share(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2, limits=Limits(running_per_key=1)) as service:
        a = [await service.submit(owner="a") for _ in range(4)]
        b = [await service.submit(owner="b") for _ in range(2)]
        states = [(await service.job(job_id)).state for job_id in (*a, *b)]
        assert states.count(JobState.RUNNING) == 2
        while service.pool.running:
            owners = [(await service.job(each.call.job_id)).owner for each in service.pool.running]
            assert len(set(owners)) == len(owners)
            service.pool.finish(service.pool.running[0])
            await service.settle()
        assert {(await service.job(job_id)).state for job_id in (*a, *b)} == {JobState.SUCCEEDED}


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_of_keys_that_have_jobs_left_none_has_started_two_more_than_another(owners: list[str]) -> None:
    async def starts() -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            async with running(Path(folder)) as service:
                first = await service.submit(owner="first")
                jobs = {await service.submit(owner=owner): owner for owner in owners}
                order = dict.fromkeys(await service.finish_all())
                return [jobs[job_id] for job_id in order if job_id != first]

    order = asyncio.run(starts())
    assert Counter(order) == Counter(owners)
    for count in range(len(order)):
        started, left = Counter(order[:count]), set(order[count:])
        assert max(started[owner] for owner in left) - min(started[owner] for owner in left) <= 1


async def test_a_long_render_is_spread_over_all_workers_and_no_segment_is_made_twice(tmp_path: Path) -> None:
    async with running(tmp_path, workers=3) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        assert len(service.pool.running) == 3
        await service.finish_all()
        encoded = [index for call in service.pool.history for index in call.segments]
        assert sorted(encoded) == list(range(35))
        assert (await service.job(long)).state is JobState.SUCCEEDED


async def test_workers_that_share_a_render_are_done_together(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as service:
        long = await service.submit(90.0)
        await service.finish(long)
        seconds = [count / FPS for count in frames_of(90.0)]
        busy: dict[Pretended, float] = {}
        ends = [0.0]
        while service.methods(long)[-1] == "encode":
            for each in service.pool.running:
                busy.setdefault(each, ends[-1] + sum(seconds[index] for index in each.call.segments))
            first = min(busy, key=busy.__getitem__)
            ends.append(busy.pop(first))
            service.pool.finish(first)
            await service.settle()
        assert ends[-1] - ends[-2] <= 2.0


async def test_a_worker_that_joins_takes_a_part_of_what_another_one_has(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        encoding = service.pool.find(long)
        service.pool.grow(2)
        await service.settle()
        assert encoding.gave_way
        service.pool.finish(encoding, segments=1)
        await service.settle()
        assert len(service.pool.running) == 2


async def test_a_worker_is_given_work_while_another_one_leaves(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as service:
        leaving, staying = [await service.submit() for _ in range(2)]
        service.pool.drain(service.pool.find(leaving))
        await service.finish(staying)
        assert service.methods(staying) == ["prepare", "encode"]
        service.pool.leave(service.pool.find(leaving))
        await service.settle()
        assert len(service.pool.running) == 1


async def test_a_short_render_has_one_worker_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as service:
        short = await service.submit(30.0)
        await service.finish(short)
        assert len(service.pool.running) == 1
