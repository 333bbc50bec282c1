"""The job table on PostgreSQL: the tests that it passes on SQLite, and what only a server can do."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, func, make_url, select, text
from sqlalchemy.exc import OperationalError

from app.errors import DatabaseUnreachable, DataFolderInUse
from app.jobs.schema import SERVICE, metadata, open_database
from app.jobs.table import JobTable
from tests.support.ports import free_port
from tests.support.postgres import Postgres, missing
from tests.support.server import Server
from tests.support.waiting import until
from tests.unit.jobs.test_migrations import DATA
from tests.unit.jobs.test_table import *  # noqa: F403

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of this module's own."""
    root = Path(tempfile.mkdtemp(prefix="mouthpiece-postgres-"))
    root.chmod(0o755)
    server = Postgres(root)
    yield server
    server.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    """A database of this module's own."""
    return postgres.create("tables")


@pytest.fixture
def table(url: str) -> Iterator[JobTable]:
    """An empty job table."""
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE jobs CASCADE"))
    yield JobTable(engine)
    engine.dispose()


def test_tables_are_made_once_by_processes_that_start_together(postgres: Postgres) -> None:
    url = postgres.create("fresh")

    def open_and_close(_: int) -> None:
        open_database(url).dispose()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_and_close, range(6)))


def test_a_database_that_does_not_answer_is_said_so() -> None:
    with pytest.raises(DatabaseUnreachable, match="cannot be reached"):
        open_database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")


def test_the_revisions_make_the_tables_that_the_code_uses(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_jobs_of_0_1_are_read_as_they_were_left(postgres: Postgres) -> None:
    url = postgres.create("old")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql((DATA / "jobs-0.1.0.postgresql.sql").read_text())
    engine.dispose()
    engine = open_database(url)
    running, waiting = JobTable(engine).open_jobs()
    assert (running.id, running.frames_done, running.deaths) == ("render-running", 75, 1)
    assert (waiting.id, waiting.owner, waiting.waited_for) == ("render-waiting", "b" * 64, True)
    engine.dispose()


def test_a_second_service_is_kept_off_the_table(table: JobTable, url: str) -> None:
    engine = open_database(url)
    with table.holding(), pytest.raises(DataFolderInUse, match="database"), JobTable(engine).holding():
        pass
    with JobTable(engine).holding():
        pass
    engine.dispose()


def test_a_table_is_kept_for_one_service_again_when_its_database_has_restarted(
    postgres: Postgres, table: JobTable, url: str
) -> None:
    other = open_database(url)
    with table.holding():
        table.check()
        postgres.stop()
        for _ in range(2):
            with pytest.raises(OperationalError):
                table.check()
        postgres.start()
        table.check()
        with pytest.raises(DataFolderInUse), JobTable(other).holding():
            pass
    with JobTable(other).holding():
        pass
    other.dispose()


@contextmanager
def lost(connection: Connection | None) -> Iterator[None]:
    """Cut a connection on this side alone: for PostgreSQL it is there for as long as the block lasts."""
    assert connection is not None
    descriptor = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
    kept = os.dup(descriptor)
    try:
        shut, other = socket.socketpair()
        os.dup2(shut.fileno(), descriptor)
        shut.close()
        other.close()
        yield
    finally:
        os.close(kept)


@pytest.mark.anyio
async def test_a_service_ends_its_own_session_that_outlives_its_connection_but_no_other_s(
    table: JobTable, url: str
) -> None:
    def is_held() -> bool:
        with suppress(DatabaseUnreachable):
            table.check()
            return True
        return False

    other = open_database(url)
    with table.holding(), lost(table._holder):
        with pytest.raises(OperationalError):
            table.check()
        with pytest.raises(DatabaseUnreachable, match="being made anew"):
            table.check()
        await until(is_held)
        with pytest.raises(DataFolderInUse), JobTable(other).holding():
            pass
    with JobTable(other).holding(), pytest.raises(DataFolderInUse), table.holding():
        pass
    other.dispose()


def test_postgresql_gives_up_a_connection_whose_other_end_acknowledges_nothing(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW tcp_user_timeout")) == "10000"
    engine.dispose()


TAKE = """
SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :low
"""


@pytest.mark.slow
def test_a_service_whose_lock_another_one_has_taken_ends(postgres: Postgres, tmp_path: Path) -> None:
    server = Server(tmp_path, {"DATABASE_URL": postgres.create("taken")})
    server.start()
    engine = create_engine(make_url(server.settings["DATABASE_URL"]).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            connection.execute(text(TAKE), {"low": SERVICE & 0xFFFFFFFF})
            server.wait(lambda: connection.scalar(select(func.pg_try_advisory_lock(SERVICE))))
            server.wait(lambda: server.has_ended)
        assert "job_table_taken" in server.log
        assert "Another service uses this database" in server.log
    finally:
        engine.dispose()
        server.kill()
        server.client.close()


@pytest.mark.slow
def test_a_database_that_restarts_costs_answers_for_a_moment_and_no_job(
    postgres: Postgres, tmp_path: Path
) -> None:
    server = Server(tmp_path, {"DATABASE_URL": postgres.create("restarted")})
    server.start()
    try:
        postgres.stop()
        server.wait(lambda: server.client.get("/readyz").status_code == 503)
        answer = server.client.get("/v1/jobs")
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:mouthpiece:problem:not-ready"
        assert server.client.get("/livez").status_code == 200
        postgres.start()
        server.wait_until_ready()
        assert server.client.get("/v1/jobs").json()["jobs"] == []
    finally:
        server.stop()
        server.client.close()
