"""The rooms of ``app/`` stand in the order that docs/design.md gives, and import downwards only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"
ORDER = (ROOT / "docs/design.md").read_text().split("## Rooms")[1].split("```")[1].split()[1:]


def rooms() -> list[str]:
    """Return the rooms that hold Python: folders, and modules that stand alone."""
    found = {path.relative_to(APP).parts[0].removesuffix(".py") for path in APP.rglob("*.py")}
    return sorted(found - {"__init__"})


def imported(room: str) -> Iterator[str]:
    """Yield the rooms that a room imports, wherever in its modules."""
    for path in (APP / f"{room}.py", *(APP / room).rglob("*.py")):
        if not path.exists():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            yield from (name.split(".")[1] for name in names if name.startswith("app."))


def test_every_room_is_in_the_list() -> None:
    assert sorted(ORDER) == rooms()


def test_strangers_media_are_opened_by_decoders_alone() -> None:
    """What is decoded in a worker's own process would be next to the avatars of all others."""
    trusted = {APP / "media", APP / "decoding", APP / "commands"}
    opening = re.compile(r"\b(probe_video|probe_audio|decode_frames|decode_sound|open_media)\(")
    found = [path for path in APP.rglob("*.py") if opening.search(path.read_text())]
    assert [path for path in found if not trusted & {*path.parents, path.with_suffix("")}] == []


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_from_rooms_before_it(room: str) -> None:
    below = {*ORDER[: ORDER.index(room)], room, "__version__"}
    assert sorted(set(imported(room)) - below) == []
