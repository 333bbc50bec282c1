from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.errors import AvatarExists, IncompatibleData, JobNotFound, MouthpieceError, QueueFull
from app.jobs.job import Job, JobKind, JobProgress, JobState, NewJob, new_id
from app.jobs.schema import open_database, versions
from app.jobs.table import JobTable

PROBLEM = MouthpieceError("It broke.").problem()


def render(avatar_id: str = "anna") -> NewJob:
    return NewJob(new_id(), JobKind.RENDER, avatar_id, {"fps": 25.0, "loop": "pingpong"})


def making(avatar_id: str = "anna") -> NewJob:
    return NewJob(new_id(), JobKind.AVATAR, avatar_id)


def claimed(table: JobTable) -> Job:
    job = table.claim()
    assert job is not None
    return job


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


def test_jobs_are_claimed_in_the_order_of_submission(table: JobTable) -> None:
    submitted = [table.insert(render()).id for _ in range(3)]
    assert [claimed(table).id for _ in range(3)] == submitted
    assert table.claim() is None


def test_a_claim_counts_as_an_attempt_and_starts_the_clock_once(table: JobTable) -> None:
    table.insert(render())
    first = claimed(table)
    assert (first.state, first.attempts) == (JobState.RUNNING, 1)
    table.recover(PROBLEM, max_attempts=3)
    second = claimed(table)
    assert (second.attempts, second.started_at) == (2, first.started_at)


def test_no_job_is_claimed_twice_by_workers_that_race(tmp_path: Path) -> None:
    table = JobTable(open_database(tmp_path / "jobs.sqlite3"), max_queued=200)
    submitted = {table.insert(render()).id for _ in range(60)}

    def work(_: int) -> list[str]:
        mine = JobTable(open_database(tmp_path / "jobs.sqlite3"), max_queued=200)
        taken = []
        while job := mine.claim():
            taken.append(job.id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = Counter(job_id for ids in pool.map(work, range(4)) for job_id in ids)
    assert set(taken) == submitted
    assert set(taken.values()) == {1}


def test_the_queue_is_never_longer_than_its_limit_however_many_submit_at_once(table: JobTable) -> None:
    def submit(_: int) -> bool:
        try:
            table.insert(render())
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        accepted = sum(pool.map(submit, range(40)))
    assert accepted == table.max_queued == len(table.page().jobs)


def test_a_full_queue_is_said_before_anything_is_submitted(table: JobTable) -> None:
    for _ in range(table.max_queued):
        table.check_room()
        table.insert(render())
    with pytest.raises(QueueFull):
        table.check_room()
    table.claim()
    table.check_room()


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
    table.finish(claimed(table), JobState.FAILED, PROBLEM)
    table.insert(making("anna"))


def test_progress_is_written_and_the_remaining_time_follows(table: JobTable) -> None:
    table.insert(render())
    job = claimed(table)
    assert table.report(job, JobProgress(30, 120, 15.0))
    seen = table.get(job.id)
    assert seen.progress.fraction == 0.25
    assert seen.progress.eta_seconds == 6.0
    assert seen.revision > job.revision


def test_an_unknown_length_has_no_remaining_time() -> None:
    assert JobProgress(7, 0, 3.0).eta_seconds is None
    assert JobProgress(7, 0, 3.0).fraction == 0
    assert JobProgress(0, 9, 0.0).eta_seconds is None


def test_a_waiting_job_is_canceled_at_once(table: JobTable) -> None:
    job = table.insert(render())
    canceled = table.request_cancel(job.id)
    assert canceled.state is JobState.CANCELED
    assert canceled.finished_at is not None
    assert table.claim() is None


def test_the_worker_of_a_running_job_is_told_to_stop(table: JobTable) -> None:
    table.insert(render())
    job = claimed(table)
    assert table.request_cancel(job.id).state is JobState.RUNNING
    assert not table.report(job, JobProgress(1, 2, 1.0))
    ended = table.finish(job, JobState.CANCELED)
    assert ended is not None
    assert ended.state is JobState.CANCELED


def test_canceling_a_finished_job_changes_nothing(table: JobTable) -> None:
    table.insert(render())
    job = table.finish(claimed(table), JobState.SUCCEEDED)
    assert job is not None
    assert table.request_cancel(job.id) == job


def test_a_worker_that_lost_its_job_cannot_change_it(table: JobTable) -> None:
    table.insert(render())
    lost = claimed(table)
    table.recover(PROBLEM, max_attempts=3)
    held = claimed(table)
    assert held.id == lost.id
    assert not table.report(lost, JobProgress(9, 9, 1.0))
    assert table.finish(lost, JobState.SUCCEEDED) is None
    assert table.get(held.id).state is JobState.RUNNING


def test_a_dead_workers_job_is_tried_again_until_its_attempts_are_spent(table: JobTable) -> None:
    job_id = table.insert(render()).id
    for _ in range(2):
        claimed(table)
        assert table.recover(PROBLEM, max_attempts=3) == []
        assert table.get(job_id).state is JobState.QUEUED
    claimed(table)
    assert [job.id for job in table.recover(PROBLEM, max_attempts=3)] == [job_id]
    job = table.get(job_id)
    assert (job.state, job.error, job.attempts) == (JobState.FAILED, PROBLEM, 3)
    assert job.finished_at is not None


def test_a_canceled_job_whose_worker_died_is_not_tried_again(table: JobTable) -> None:
    table.insert(render())
    job = claimed(table)
    table.request_cancel(job.id)
    (ended,) = table.recover(PROBLEM, max_attempts=3)
    assert (ended.state, ended.error) == (JobState.CANCELED, None)


def test_a_job_given_back_is_not_counted_as_tried(table: JobTable) -> None:
    table.insert(render())
    table.release(claimed(table))
    assert claimed(table).attempts == 1


def test_pages_are_newest_first_and_the_cursor_goes_on_where_one_ended(table: JobTable) -> None:
    submitted = [table.insert(render()).id for _ in range(5)]
    first = table.page(limit=2)
    table.request_cancel(submitted[0])
    second = table.page(limit=2, cursor=first.next_cursor)
    third = table.page(limit=2, cursor=second.next_cursor)
    assert [job.id for page in (first, second, third) for job in page.jobs] == submitted[::-1]
    assert third.next_cursor is None


def test_pages_are_filtered_by_state_and_avatar(table: JobTable) -> None:
    anna, ben = table.insert(render("anna")), table.insert(render("ben"))
    claimed(table)
    assert [job.id for job in table.page(state=JobState.RUNNING).jobs] == [anna.id]
    assert [job.id for job in table.page(avatar_id="ben").jobs] == [ben.id]
    assert table.page(state=JobState.RUNNING, avatar_id="ben").jobs == []
    assert table.counts() == {
        (JobKind.RENDER, JobState.RUNNING): 1,
        (JobKind.RENDER, JobState.QUEUED): 1,
    }


def test_only_finished_jobs_expire_and_only_in_time(table: JobTable) -> None:
    table.insert(render())
    done = table.finish(claimed(table), JobState.SUCCEEDED)
    waiting = table.insert(render())
    assert done is not None
    assert done.finished_at is not None
    assert table.expire(done.finished_at) == []
    assert table.expire(done.finished_at + timedelta(seconds=1)) == [done]
    assert [job.id for job in table.page().jobs] == [waiting.id]


def test_only_finished_jobs_are_deleted(table: JobTable) -> None:
    job = table.insert(render())
    assert not table.delete_finished(job.id)
    table.request_cancel(job.id)
    assert table.delete_finished(job.id)
    assert table.page().jobs == []


def test_only_jobs_that_wait_work_or_have_a_result_have_files(table: JobTable) -> None:
    ids = [table.insert(render()).id for _ in range(5)]
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED):
        table.finish(claimed(table), state)
    claimed(table)
    assert table.ids_with_files() == {ids[0], ids[3], ids[4]}


def test_records_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "jobs.sqlite3"
    job = JobTable(open_database(path), 5).insert(render())
    assert JobTable(open_database(path), 5).get(job.id) == job


def test_a_database_of_another_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    engine = open_database(path)
    with engine.begin() as connection:
        connection.execute(update(versions).values(version=99))
    with pytest.raises(IncompatibleData, match="99"):
        open_database(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    path.write_bytes(b"something else entirely, and long enough to be looked at" * 20)
    with pytest.raises(IncompatibleData):
        open_database(path)
