"""Job databases for tests that are not about how one is made."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from app.jobs.schema import open_database


def put_fresh(path: Path) -> Path:
    """Write an SQLite job database without jobs to ``path``, unless there is one; return the path."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_made_once())
    return path


@cache
def _made_once() -> bytes:
    """Return a database to which all migrations were applied, which takes longer than many a test."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.sqlite3"
        open_database(path).dispose()
        return path.read_bytes()
