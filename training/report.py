"""What an evaluation leaves: tables, and contact sheets, to be looked at before any number is believed."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.evaluate import Take
from training.journal import write_sheet

_MOMENTS: Final = (1.0, 0.85, 0.5, 0.0)
"""Quantiles of the true aperture that are shown: from the widest mouth to the most closed."""


def write_report(folder: Path, name: str, takes: list[Take]) -> list[Path]:
    """Write one sheet a set: a row a clip; for each moment the true and the rendered face, then silence."""
    paths = []
    for set_name in sorted({take.span.clip.set for take in takes}):
        members = [take for take in takes if take.span.clip.set == set_name]
        path = folder / f"{name}.{set_name}.png"
        columns = []
        for moment in range(len(_MOMENTS)):
            picks = [_moments(take)[moment] for take in members]
            columns.append(np.stack([take.truth[k] for take, k in zip(members, picks, strict=True)]))
            columns.append(np.stack([take.spoken[k] for take, k in zip(members, picks, strict=True)]))
        columns.append(np.stack([take.silent[0] for take in members]))
        write_sheet(path, columns)
        paths.append(path)
    return paths


def as_table(scores: Mapping[str, Any]) -> str:
    """Return scores, dataclasses of numbers, as a Markdown table with a column for each."""
    head = "| | " + " | ".join(scores) + " |"
    rows = [head, "|---" * (len(scores) + 1) + "|"]
    for name in asdict(next(iter(scores.values()))):
        values = [getattr(score, name) for score in scores.values()]
        cells = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in values)
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _moments(take: Take) -> list[int]:
    order = np.argsort(take.opened["truth"])
    return [int(order[round(quantile * (len(order) - 1))]) for quantile in _MOMENTS]
