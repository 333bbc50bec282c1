"""The journal of a run: losses as CSV and as a picture, and contact sheets."""

import csv
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from app.media.files import replacing
from app.wav2lip.arrays import FaceCrops

_ZOOM: Final = 2
_KEYS: Final = ("step", "samples", "seconds", "learning_rate")


class Journal:
    """Writes what happens in a run to its folder; on resuming, rows after the checkpoint are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / "losses.csv"
        self._plot = folder / "losses.png"
        self._folder = folder
        self._rows = [row for row in _read(self._path) if row["step"] <= step]

    @property
    def seconds(self) -> float:
        """How long the run took until its last entry."""
        return self._rows[-1]["seconds"] if self._rows else 0.0

    def enter(self, row: dict[str, float]) -> None:
        """Add a row and write the table and its plot again."""
        self._rows.append(row)
        names = list(dict.fromkeys([*_KEYS, *(key for entry in self._rows for key in entry)]))
        with replacing(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows({key: f"{value:.6g}" for key, value in entry.items()} for entry in self._rows)
        self._draw([name for name in names if name not in _KEYS])

    def sheet(self, step: int, columns: list[FaceCrops]) -> None:
        """Write a contact sheet: one row a sample, one column for each of ``columns``."""
        rows = np.concatenate([np.concatenate(list(faces)) for faces in columns], axis=1)
        larger = cv2.resize(rows, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(self._folder / f"sheet-{step:07d}.png"), larger)

    def _draw(self, names: list[str]) -> None:
        pyplot = _pyplot()
        figure, axes = pyplot.subplots(figsize=(9, 5))
        for name in names:
            points = [(row["samples"], row[name]) for row in self._rows if name in row]
            axes.plot(*zip(*points, strict=True), label=name)
        axes.set_xlabel("samples")
        axes.set_yscale("symlog", linthresh=1e-3)
        axes.legend(fontsize="small")
        figure.savefig(self._plot, dpi=90)
        pyplot.close(figure)


def _read(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _pyplot() -> Any:
    """Import matplotlib where it is needed, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
