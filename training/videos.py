"""Videos in folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from app.errors import InvalidRequest

SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v"})


def list_videos(places: Iterable[Path]) -> list[Path]:
    """Return the videos of ``places`` (files, or folders of them), sorted; raises InvalidRequest for none."""
    found = [
        path
        for place in places
        for path in (sorted(place.iterdir()) if place.is_dir() else [place])
        if path.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise InvalidRequest(
            "There are no videos here: name files or folders with .mp4, .mov or .webm in them."
        )
    return found
