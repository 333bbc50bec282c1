from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.errors import AvatarExists, DatabaseUnreachable, IncompatibleData, JobNotFound, MouthpieceError
from app.jobs.job import Job, JobKind, JobState, NewJob, new_id, utc_now
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from tests.support.volumes import volume

PROBLEM = MouthpieceError("It broke.").problem()


def render(avatar_id: str = "anna") -> NewJob:
    return NewJob(new_id(), JobKind.RENDER, avatar_id, {"fps": 25.0, "loop": "pingpong"})


def making(avatar_id: str = "anna") -> NewJob:
    return NewJob(new_id(), JobKind.AVATAR, avatar_id)


def begun(table: JobTable, job: Job) -> Job:
    now = replace(job, state=JobState.RUNNING, attempts=1, started_at=utc_now(), revision=job.revision + 1)
    assert table.save(now)
    return now


def ended(table: JobTable, job: Job, state: JobState = JobState.SUCCEEDED) -> Job:
    now = replace(job, state=state, finished_at=utc_now(), revision=job.revision + 1)
    assert table.save(now)
    return now


def test_a_submitted_job_is_read_back_as_it_was(table: JobTable) -> None:
    new = render()
    before = datetime.now(UTC)
    job = table.insert(new)
    assert job == table.get(new.id)
    assert (job.id, job.kind, job.avatar_id, job.params) == (new.id, new.kind, new.avatar_id, new.params)
    assert (job.state, job.attempts, job.error, job.started_at) == (JobState.QUEUED, 0, None, None)
    assert before <= job.created_at <= datetime.now(UTC)
    assert job.created_at.utcoffset() == timedelta(0)


def test_an_unknown_job_is_not_found(table: JobTable) -> None:
    with pytest.raises(JobNotFound):
        table.get("nobody")


def test_whose_a_job_is_and_who_waits_for_it_outlives_the_service(table: JobTable) -> None:
    table.insert(replace(render(), owner="a" * 64, waited_for=True))
    (job,) = table.open_jobs()
    assert (job.owner, job.waited_for) == ("a" * 64, True)


def test_the_open_jobs_are_those_that_wait_or_work_oldest_first(table: JobTable) -> None:
    first, second, third = (table.insert(render()) for _ in range(3))
    running = begun(table, second)
    ended(table, first)
    assert table.open_jobs() == [running, third]


def test_what_changes_in_a_job_is_saved(table: JobTable) -> None:
    job = begun(table, table.insert(render()))
    job = replace(
        job,
        frames_done=3,
        frames_total=9,
        fps=1.5,
        deaths=1,
        attempts=2,
        cancel_requested_at=utc_now(),
        error=PROBLEM,
    )
    job = replace(job, error=PROBLEM)
    assert table.save(job)
    assert table.get(job.id) == job


def test_a_job_that_has_ended_is_never_changed_again(table: JobTable) -> None:
    job = ended(table, table.insert(render()))
    assert not table.save(replace(job, state=JobState.RUNNING))
    assert table.get(job.id) == job


def test_a_job_that_is_gone_is_not_saved(table: JobTable) -> None:
    job = ended(table, table.insert(render()))
    assert table.delete_finished(job.id)
    assert not table.save(replace(job, state=JobState.RUNNING))


def test_only_one_job_at_a_time_makes_an_avatar(table: JobTable) -> None:
    def submit(_: int) -> bool:
        try:
            table.insert(making("anna"))
        except AvatarExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(submit, range(8))) == 1
    with pytest.raises(AvatarExists):
        table.check_avatar_free("anna")
    table.check_avatar_free("ben")
    table.insert(render("anna"))
    (job,) = (job for job in table.open_jobs() if job.kind is JobKind.AVATAR)
    ended(table, job, JobState.FAILED)
    table.insert(making("anna"))


def test_the_remaining_time_follows_from_progress() -> None:
    job = Job(**vars(render()), frames_done=30, frames_total=120, fps=15.0)
    assert (job.fraction, job.eta_seconds) == (0.25, 6.0)


def test_an_unknown_length_has_no_remaining_time() -> None:
    begun = Job(**vars(render()), frames_done=7, fps=3.0)
    assert (begun.eta_seconds, begun.fraction) == (None, 0)
    assert replace(begun, frames_done=0, frames_total=9, fps=0.0).eta_seconds is None


def test_pages_are_newest_first_and_the_cursor_goes_on_where_one_ended(table: JobTable) -> None:
    submitted = [table.insert(render()).id for _ in range(5)]
    first = table.page(limit=2)
    ended(table, table.get(submitted[0]))
    second = table.page(limit=2, cursor=first.next_cursor)
    third = table.page(limit=2, cursor=second.next_cursor)
    assert [job.id for page in (first, second, third) for job in page.jobs] == submitted[::-1]
    assert third.next_cursor is None


def test_pages_are_filtered_by_state_and_avatar(table: JobTable) -> None:
    anna, ben = table.insert(render("anna")), table.insert(render("ben"))
    begun(table, anna)
    assert [job.id for job in table.page(state=JobState.RUNNING).jobs] == [anna.id]
    assert [job.id for job in table.page(avatar_id="ben").jobs] == [ben.id]
    assert table.page(state=JobState.RUNNING, avatar_id="ben").jobs == []
    assert table.counts() == {
        (JobKind.RENDER, JobState.RUNNING): 1,
        (JobKind.RENDER, JobState.QUEUED): 1,
    }


def test_only_finished_jobs_expire_and_only_in_time(table: JobTable) -> None:
    done = ended(table, table.insert(render()))
    waiting = table.insert(render())
    assert done.finished_at is not None
    assert table.expire(done.finished_at) == []
    assert table.expire(done.finished_at + timedelta(seconds=1)) == [done.id]
    assert [job.id for job in table.page().jobs] == [waiting.id]


def test_only_finished_jobs_are_deleted(table: JobTable) -> None:
    job = table.insert(render())
    assert not table.delete_finished(job.id)
    ended(table, job, JobState.CANCELED)
    assert table.delete_finished(job.id)
    assert table.page().jobs == []


def test_a_job_replaces_one_of_its_id_that_has_ended_or_nothing_changes(table: JobTable) -> None:
    first = table.insert(making())
    with pytest.raises(AvatarExists):
        table.insert(replace(making("ben"), id=first.id), replaces=True)
    done, _ = ended(table, first), table.insert(making("ben"))
    with pytest.raises(AvatarExists):
        table.insert(replace(making("ben"), id=first.id), replaces=True)
    assert table.get(first.id) == done
    second = table.insert(replace(render(), id=first.id), replaces=True)
    assert table.get(first.id) == second
    assert second.number > first.number


def test_only_jobs_that_wait_work_or_have_a_result_have_files(table: JobTable) -> None:
    jobs = [table.insert(render()) for _ in range(5)]
    for job, state in zip(jobs, (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED), strict=False):
        ended(table, job, state)
    begun(table, jobs[3])
    assert table.ids_with_files() == {jobs[0].id, jobs[3].id, jobs[4].id}


def test_records_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "jobs.sqlite3"
    job = JobTable(open_database(path)).insert(render())
    assert JobTable(open_database(path)).get(job.id) == job


def test_a_damaged_database_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    table = JobTable(open_database(path))
    for _ in range(100):
        table.insert(render())
    with table._engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    table._engine.dispose()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = bytes(4096 * 3)
    path.write_bytes(content)
    with pytest.raises(IncompatibleData, match=r"damaged|not a job database"):
        open_database(path)


def test_a_database_on_a_full_volume_is_said_to_be_so_and_opened_when_there_is_room(tmp_path: Path) -> None:
    with volume(tmp_path / "small", 4) as small:
        filler = small / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(DatabaseUnreachable, match="Make room on the volume"):
            open_database(small / "jobs.sqlite3")
        filler.unlink()
        engine = open_database(small / "jobs.sqlite3")
        JobTable(engine).check()
        engine.dispose()


def test_a_database_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    table = JobTable(open_database(path))
    table.check()
    path.unlink()
    with pytest.raises(IncompatibleData, match="removed"):
        table.check()


def test_a_database_that_was_replaced_is_noticed_and_the_first_one_taken_back(tmp_path: Path) -> None:
    path, copy = tmp_path / "jobs.sqlite3", tmp_path / "copy"
    table = JobTable(open_database(path))
    copy.write_bytes(path.read_bytes())
    path.rename(tmp_path / "away")
    copy.rename(path)
    with pytest.raises(IncompatibleData, match="replaced"):
        table.check()
    (tmp_path / "away").rename(path)
    table.check()


def test_a_postgresql_that_cannot_be_reached_is_said_to_be_so_without_its_password() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(DatabaseUnreachable, match="PostgreSQL cannot be reached") as refused:
        open_database("postgresql://mouthpiece:hush-hush@127.0.0.1:1/jobs")
    assert "hush-hush" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    path.write_bytes(b"something else entirely, and long enough to be looked at" * 20)
    with pytest.raises(IncompatibleData):
        open_database(path)
