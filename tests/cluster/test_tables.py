"""The job table on PostgreSQL: the tests that it passes on SQLite, and races of several connections."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.cluster.schema import open_database
from app.errors import DatabaseUnreachable
from app.jobs.table import JobTable
from tests.support.backing import Backing
from tests.support.ports import free_port
from tests.unit.jobs.test_queue import *  # noqa: F403
from tests.unit.jobs.test_table import *  # noqa: F403
from tests.unit.jobs.test_table import render


@pytest.fixture(scope="module")
def url(backing: Backing) -> str:
    """A database of this module's own."""
    return backing.database.create("tables")


@pytest.fixture
def table(url: str) -> Iterator[JobTable]:
    """An empty job table."""
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE jobs CASCADE"))
    yield JobTable(engine, max_queued=5)
    engine.dispose()


def test_no_job_is_claimed_twice_by_connections_that_race(table: JobTable, url: str) -> None:
    table.max_queued = 200
    submitted = {table.insert(render()).id for _ in range(60)}

    def work(_: int) -> list[str]:
        engine = open_database(url)
        mine, taken = JobTable(engine, max_queued=200), []
        while job := mine.claim():
            taken.append(job.id)
        engine.dispose()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = Counter(job_id for ids in pool.map(work, range(4)) for job_id in ids)
    assert taken.keys() == submitted
    assert set(taken.values()) == {1}


def test_tables_are_made_once_by_processes_that_start_together(backing: Backing) -> None:
    url = backing.database.create("fresh")

    def open_and_close(_: int) -> None:
        open_database(url).dispose()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_and_close, range(6)))


def test_a_database_that_does_not_answer_is_said_so() -> None:
    with pytest.raises(DatabaseUnreachable, match="cannot be reached"):
        open_database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
