"""Every event of the log stands on the pages for operators, and none that is not logged."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEVELS = {"info", "warning", "error", "exception", "critical"}
BY_VARIABLE = {"request", "stream_cut"}
"""Logged at a level that depends."""


def logged() -> Iterator[str]:
    """Yield the events that the code logs above debug; a sentence is no event."""
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                    args=[ast.Constant(value=str(event)), *_],
                ) if level in LEVELS and " " not in event:
                    yield event


def told(page: str) -> set[str]:
    """Return the events in the first column of a page's table of them."""
    (table,) = re.findall(r"^\| event \| \|\n\|---\|---\|\n((?:\|.*\n)+)", (ROOT / page).read_text(), re.M)
    return {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_event_is_explained_and_every_explained_event_is_logged() -> None:
    events = {*logged()} | BY_VARIABLE
    assert len(events) > 30
    assert told("docs/operations.md") | told("docs/cluster.md") == events
