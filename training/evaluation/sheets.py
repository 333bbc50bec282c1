"""Pictures of an evaluation: what a person has to look at before believing any number."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from app.media.frames import BgrImage
from training.evaluation.mouths import pictures, places_in
from training.evaluation.tracking import FaceFollower

_SIDE: Final = 224
_COLUMNS: Final = 8
CELLS: Final = 24
"""Pictures of a sheet or a strip."""
_ABOVE_CHIN, _BELOW_CHIN = 0.62, 0.08
"""What is shown of a face, in its height."""


def write_sheet(path: Path, render: Path, truth: Path, frames: int) -> Path:
    """Write moments from all over a render, each above the truth's at the same time."""
    every = max(1, frames // CELLS)
    wanted = range(every // 2, frames, every)
    return _write(path, _lower_faces(render, wanted), _lower_faces(truth, wanted))


def write_strip(path: Path, render: Path, truth: Path, frames: int) -> Path:
    """Write consecutive frames from the middle of a render, each above the truth's."""
    first = max(0, (frames - CELLS) // 2)
    wanted = range(first, min(frames, first + CELLS))
    return _write(path, _lower_faces(render, wanted), _lower_faces(truth, wanted))


def _write(path: Path, made: list[BgrImage], true: list[BgrImage]) -> Path:
    rows = []
    for start in range(0, max(len(made), len(true)), _COLUMNS):
        rows += [_row(cells[start : start + _COLUMNS]) for cells in (made, true)]
    cv2.imwrite(str(path), np.vstack(rows))
    return path


def _row(cells: list[BgrImage]) -> BgrImage:
    empty = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    return np.hstack([*cells, *[empty] * (_COLUMNS - len(cells))])


def _lower_faces(video: Path, wanted: range) -> list[BgrImage]:
    """Return the lower face of the wanted frames, black where there is none, from the video's own pixels."""
    follower, cells = FaceFollower(), []
    for index, picture in enumerate(pictures(video, wanted[-1] + 1 if wanted else 0)):
        places = places_in(follower, picture)
        if index not in wanted:
            continue
        if places is None:
            cells.append(np.zeros((_SIDE, _SIDE, 3), np.uint8))
            continue
        (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
        width = max(right - left, _ABOVE_CHIN * (bottom - top))
        middle = (left + right) / 2
        cells.append(
            _cut(
                picture,
                (bottom - _ABOVE_CHIN * (bottom - top), bottom + _BELOW_CHIN * (bottom - top)),
                (middle - width / 2, middle + width / 2),
            )
        )
    return cells


def _cut(picture: BgrImage, rows: tuple[float, float], columns: tuple[float, float]) -> BgrImage:
    top, left = max(0, int(rows[0])), max(0, int(columns[0]))
    part = picture[top : max(int(rows[1]), top + 1), left : max(int(columns[1]), left + 1)]
    if not part.size:
        return np.zeros((_SIDE, _SIDE, 3), np.uint8)
    way = cv2.INTER_AREA if part.shape[0] > _SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (_SIDE, _SIDE), interpolation=way), np.uint8)
