"""A job database of an earlier release opens in this one, and nothing of it is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError

from app.errors import IncompatibleData
from app.jobs.job import Job, JobState
from app.jobs.schema import metadata, open_database
from app.jobs.table import JobTable
from tests.unit.jobs.test_table import render

DATA = Path(__file__).parent / "data"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "jobs.sqlite3")
    yield engine
    engine.dispose()


def of_release(name: str, folder: Path) -> Path:
    """Lay the database of an earlier release into a data folder."""
    path = folder / "jobs.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / f"jobs-{name}.sql").read_text())
    return path


def test_the_revisions_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_jobs_of_0_1_are_read_as_they_were_left(tmp_path: Path) -> None:
    path = of_release("0.1.0", tmp_path)
    for _ in range(2):  # opened once more, it is of this release
        table = JobTable(open_database(path))
        jobs: dict[str, Job] = {job.id: job for job in table.page().jobs}
        assert {name: job.state for name, job in jobs.items()} == {
            "avatar-made": JobState.SUCCEEDED,
            "render-failed": JobState.FAILED,
            "render-running": JobState.RUNNING,
            "render-waiting": JobState.QUEUED,
        }
        running, waiting = table.open_jobs()
        assert (running.frames_done, running.frames_total, running.fps) == (75, 250, 40.0)
        assert (running.deaths, running.attempts) == (1, 2)
        assert running.params == {"fps": 25.0, "loop": "pingpong"}
        assert (waiting.owner, waiting.waited_for, waiting.number) == ("b" * 64, True, 4)
        assert [warning["code"] for warning in jobs["avatar-made"].warnings] == ["unknown-fields"]
        error = jobs["render-failed"].error
        assert error is not None
        assert error["detail"] == "It broke."
    assert table.insert(render()).number == 5


def test_jobs_of_before_there_were_turns_get_the_defaults(tmp_path: Path) -> None:
    path = of_release("0.0", tmp_path)
    (job,) = JobTable(open_database(path)).open_jobs()
    assert (job.id, job.number, job.attempts, job.deaths, job.owner) == ("old", 7, 1, 0, None)
    assert (job.waited_for, job.warnings) == (False, [])


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = of_release("0.0", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE jobs ADD COLUMN owner TEXT")  # what the second revision adds as well
        before = list(connection.iterdump())
    with pytest.raises(OperationalError, match="owner"):
        open_database(path)
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


@pytest.mark.parametrize(
    "of_newer",
    [
        "UPDATE alembic_version SET version_num = '9999'",
        "CREATE TABLE schema_version AS SELECT 99 AS version",
    ],
    ids=["a revision", "a number"],
)
def test_a_database_of_a_newer_release_is_refused(engine: Engine, tmp_path: Path, of_newer: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(of_newer))
        kept = set(inspect(connection).get_table_names())
    with pytest.raises(IncompatibleData, match="newer release"):
        open_database(tmp_path / "jobs.sqlite3")
    assert set(inspect(engine).get_table_names()) == kept
