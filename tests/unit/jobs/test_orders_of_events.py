"""The scheduler holds its promises whatever happens in whichever order."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import NoFace
from app.jobs.job import JobKind, JobState
from app.jobs.turn import Limits
from tests.support.pretending import PretendingPool, frames_of
from tests.support.scheduling import Service, running

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["submit"] * 4
            + ["answer"] * 6
            + ["some"] * 2
            + ["die"] * 3
            + ["stall", "leave", "refuse", "cancel", "grow", "shrink", "restart"]
        ),
        st.integers(0, 10),
    ),
    min_size=20,
    max_size=60,
)
LIMITS = Limits(attempts=3, running_per_key=2)


class World:
    """A service to which things happen, and what is known of its jobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pool = PretendingPool(2)
        self.submitted: dict[str, float] = {}
        self.canceled: set[str] = set()
        self.ended: Counter[str] = Counter()

    async def live(self, events: list[tuple[str, int]]) -> None:
        """Have everything happen, then let all calls be answered."""
        while events:
            async with running(self.root, pool=self.pool, limits=LIMITS) as service:
                while events and (event := events.pop(0))[0] != "restart":
                    await self.happen(service, *event)
                    await service.settle()
                    self.check(service)
                if not events:
                    self.pool.grow(2)
                    await service.settle()
                    await service.finish_all()
                    await self.check_end(service)
                self.ended.update(ended.job.id for ended in service.ended)

    async def happen(self, service: Service, event: str, number: int) -> None:
        """Have one thing happen."""
        pool = self.pool
        pretended = pool.running[number % len(pool.running)] if pool.running else None
        match event:
            case "submit":
                kind = JobKind.AVATAR if number == 10 else JobKind.RENDER
                seconds = 100.0 if number % 3 == 0 else 3.0
                owner = "ab"[number % 2] if number < 6 else None
                video_of = "shared" if number in (4, 5, 9) else ""
                job_id = await service.submit(
                    seconds, owner=owner, waited_for=number % 2 == 0, kind=kind, video_of=video_of
                )
                self.submitted[job_id] = seconds
            case "cancel" if self.submitted:
                job_id = list(self.submitted)[number % len(self.submitted)]
                self.canceled.add((await service.scheduler.cancel(job_id)).id)
            case "grow" | "shrink":
                pool.grow(max(0, min(4, pool.workers + (1 if event == "grow" else -1))))
            case "answer" if pretended:
                pool.finish(pretended)
            case "some" if pretended:
                pretended.told(number, 75)
                pool.finish(pretended, segments=1)
            case "die" | "stall" if pretended:
                pool.die(pretended, stalled=event == "stall")
            case "leave" if pretended:
                pool.leave(pretended)
            case "refuse" if pretended:
                pool.refuse(pretended, NoFace("No face."))

    def check(self, service: Service) -> None:
        """Check what has to be true at any time."""
        calls = [each.call for each in self.pool.running]
        making = Counter(call.avatar_id for call in calls if call.method == "build_avatar")
        assert set(making.values()) <= {1}, "an avatar is made twice at a time"
        segments = Counter((call.job_id, index) for call in calls for index in call.segments)
        assert not segments or max(segments.values()) == 1, "a segment is made by two workers at a time"
        alone = Counter(call.job_id for call in calls if call.method != "encode")
        assert all(sum(call.job_id == job_id for call in calls) == 1 for job_id in alone)
        jobs = service.scheduler._jobs.values()
        under_way = Counter(job.job.owner for job in jobs if job.begun and job.job.owner)
        assert not under_way or max(under_way.values()) <= LIMITS.running_per_key
        assert not self.pool.idle or not service.scheduler._turns.wanting(jobs)
        assert all(job.job.deaths < LIMITS.attempts for job in jobs)
        assert not any(job.verdict and not job.running for job in jobs), "a job that is over has not ended"

    async def check_end(self, service: Service) -> None:
        """Check what has to be true when nothing is left to do."""
        assert not service.scheduler._jobs
        for job_id, seconds in self.submitted.items():
            job = await service.job(job_id)
            assert job.state.is_terminal
            assert job == service.table.get(job_id)
            assert job.deaths <= LIMITS.attempts
            assert job.state is JobState.SUCCEEDED or not service.files.job(job_id).exists()
            assert (job.deaths == LIMITS.attempts) <= (job.state is JobState.FAILED)
            if job.state is JobState.SUCCEEDED and job.kind is JobKind.RENDER:
                assert self.pool.there[job_id] == set(range(len(frames_of(seconds))))
            if job.state is JobState.CANCELED:
                assert job_id in self.canceled


@given(EVENTS)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_every_job_ends_once_and_as_it_should_whatever_happens(events: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        asyncio.run(world.live([*events, ("answer", 0)]))
        assert world.ended.keys() == world.submitted.keys()
        assert set(world.ended.values()) <= {1}
