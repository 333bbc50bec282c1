"""Which workers there are: each says every second that it lives, and what its model is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.cluster.schema import workers
from app.errors import Problem

SAY_SECONDS: Final = 1.0
"""Time between two signs of life."""
GONE_SECONDS: Final = 10.0
"""A worker that has been silent for so long is not counted."""
FORGET_SECONDS: Final = 300.0
"""A worker that has been silent for so long is struck off."""


@dataclass(frozen=True)
class Muster:
    """Who was there at a moment."""

    models: tuple[Mapping[str, Any], ...] = ()
    """What each worker that is ready has loaded."""
    problems: tuple[Problem, ...] = ()
    """Why others cannot load their model."""


class Roster:
    """The table of workers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def say(self, name: str, model: Mapping[str, Any] | None, problem: Problem | None = None) -> None:
        """Write down that a worker lives and has loaded ``model``, or why it cannot."""
        values = {"model": None if model is None else dict(model), "problem": problem, "seen_at": func.now()}
        statement = insert(workers).values(name=name, **values)
        with self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def leave(self, name: str) -> None:
        """Strike a worker off."""
        with self._engine.begin() as connection:
            connection.execute(delete(workers).where(workers.c.name == name))

    def forget(self) -> None:
        """Strike off those that have been silent for long."""
        before = func.now() - timedelta(seconds=FORGET_SECONDS)
        with self._engine.begin() as connection:
            connection.execute(delete(workers).where(workers.c.seen_at < before))

    def has(self, host: str) -> bool:
        """Return whether a worker of a machine is there and ready."""
        ready = (
            workers.c.model.is_not(None)
            & _is_there()
            & workers.c.name.startswith(f"{host}:", autoescape=True)
        )
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(func.count()).select_from(workers).where(ready)))

    def muster(self) -> Muster:
        """Return who is there now."""
        statement = select(workers.c.model, workers.c.problem).where(_is_there())
        with self._engine.connect() as connection:
            rows = connection.execute(statement).tuples().all()
        return Muster(
            models=tuple(model for model, _ in rows if model is not None),
            problems=tuple(problem for _, problem in rows if problem is not None),
        )


def _is_there() -> ColumnElement[bool]:
    return workers.c.seen_at > func.now() - timedelta(seconds=GONE_SECONDS)
