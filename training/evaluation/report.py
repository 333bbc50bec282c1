"""An evaluation in numbers: a table for people, JSON for cards."""

import json
from pathlib import Path
from typing import Final

import numpy as np

from training.evaluation.judge import Verdict

_WHOLE: Final = frozenset({"frames", "lag", "freeze", "freeze_true"})


def as_table(verdict: Verdict) -> str:
    """Return a Markdown table: one row a half, the medians last."""
    names = list(verdict.rows[0].numbers())
    lines = ["| half | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    listed = [(row.name, row.numbers()) for row in verdict.rows]
    for name, numbers in [*listed, ("median", verdict.medians())]:
        cells = (_written(key, numbers[key]) for key in names)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_json(path: Path, verdict: Verdict) -> Path:
    """Write medians, rows, and what was left out; numbers that cannot be told are null."""
    content = {
        "medians": _known(verdict.medians()),
        "halves": {row.name: _known(row.numbers()) for row in verdict.rows},
        "left_out": verdict.left_out,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _known(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in numbers.items()}


def _written(name: str, value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.0f}" if name in _WHOLE else f"{value:.2f}"
