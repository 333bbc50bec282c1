"""The job database's schema, step by step (Alembic).

A change of ``app/jobs/schema.py`` comes with one more file in ``versions/``: a revision with the next number.
A test compares what the revisions make with the tables there.
"""

from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from app.errors import IncompatibleData

log = structlog.stdlib.get_logger(__name__)

_COUNTER: Final = "schema_version"
"""The table in which releases up to 0.1 kept a number of their own."""


def migrate(connection: Connection) -> None:
    """Create the tables, or bring those of an earlier release to this one, all in the caller's transaction.

    Raises ``IncompatibleData`` if a newer release wrote the database.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "app.jobs:migrations")
    known = ScriptDirectory.from_config(config).get_current_head()
    try:
        _adopt(connection, config)
        found = MigrationContext.configure(connection).get_current_revision()
        if found != known:
            command.upgrade(config, "head")
            log.info("job_database_migrated", found=found, now=known)
    except CommandError as error:
        raise IncompatibleData(
            f"A newer release wrote the job database; this one knows its schema up to {known} ({error}). "
            "Run the newer release, or move the data folder away."
        ) from error


def _adopt(connection: Connection, config: Config) -> None:
    """Take over a database of a release up to 0.1: its versions are the first two revisions."""
    if inspect(connection).has_table(_COUNTER):
        version: int = connection.exec_driver_sql(f"SELECT version FROM {_COUNTER}").scalar_one()  # noqa: S608
        command.stamp(config, f"{version:04d}")
        connection.exec_driver_sql(f"DROP TABLE {_COUNTER}")
