from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.deliveries.deliverer import Deliverer, Terms
from app.jobs.files import DataFolder
from app.jobs.records import Records
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.outside.allowance import Allowance
from tests.support.databases import put_fresh
from tests.support.neighbour import Neighbour
from tests.unit.deliveries.delivering import QUICK, SECRET, news_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def table(tmp_path: Path) -> Iterator[JobTable]:
    engine = open_database(put_fresh(tmp_path / "jobs.sqlite3"))
    yield JobTable(engine)
    engine.dispose()


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour().open() as there:
        yield there


@pytest.fixture
def make(
    table: JobTable, tmp_path: Path, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Deliverer]:
    monkeypatch.setattr("app.deliveries.deliverer.LOOK_SECONDS", 0.02)

    def make(**given: Any) -> Deliverer:
        allowed = Allowance.of({f"127.0.0.1:{neighbour.port}"})
        terms: dict[str, Any] = {"allowed": allowed, "secret": SECRET, "pauses": QUICK}
        return Deliverer(Records(table), DataFolder(tmp_path), news_of, Terms(**terms | given))

    return make
