"""What a check finds."""

from dataclasses import asdict, dataclass
from typing import Final, Literal

Level = Literal["good", "note", "problem"]

_MARKS: Final[dict[Level, str]] = {
    "good": "[green]ok     [/]",
    "note": "[yellow]note   [/]",
    "problem": "[red]problem[/]",
}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    level: Level
    found: str
    remedy: str = ""
    """How to fix it: a command, where there is one."""

    @property
    def mark(self) -> str:
        """The level as a coloured word of fixed width."""
        return _MARKS[self.level]

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return asdict(self)
