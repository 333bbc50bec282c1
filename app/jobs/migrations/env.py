"""Runs revisions on the connection, and in the transaction, of ``migrate``. Alembic asks for this file."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
