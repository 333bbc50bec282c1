from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.schema import open_database
from app.jobs.table import JobTable
from tests.support.databases import put_fresh


@pytest.fixture
def table(tmp_path: Path) -> Iterator[JobTable]:
    engine = open_database(put_fresh(tmp_path / "jobs.sqlite3"))
    yield JobTable(engine)
    engine.dispose()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
