"""The time spent in each stage of a render."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class StageSeconds:
    """Time spent in each stage, seconds; the stages overlap, so that the sum exceeds the wall time."""

    sound: float = 0.0
    listen: float = 0.0
    frames: float = 0.0
    model: float = 0.0
    composite: float = 0.0
    encode: float = 0.0
    mux: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add the time that another thread spent."""
        for name, seconds in asdict(other).items():
            setattr(self, name, getattr(self, name) + seconds)

    def take(self) -> dict[str, float]:
        """Return the seconds of each stage, and count from zero again."""
        taken = asdict(self)
        for name in taken:
            setattr(self, name, 0.0)
        return taken


def note_stages(path: Path, seconds: Mapping[str, float]) -> None:
    """Add a line to a file, in which all who work on a render note what each call cost."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(seconds)) + "\n")


def noted_stages(path: Path) -> dict[str, float]:
    """Return the sums of what was noted; a line that a crash has cut off is left out."""
    total = Counter[str]()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            total.update(json.loads(line))
    return dict(total)
