"""Writing an avatar's files, arrays row by row."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event
from typing import Final

import numpy as np
import numpy.typing as npt

_PIECE: Final = 1 << 20
"""Bytes that are copied at a time."""

Row = npt.NDArray[np.generic]
"""One entry along the first axis of an array, of any shape and dtype."""


def save_rows(path: Path, count: int, rows: Iterable[Row]) -> None:
    """Write ``count`` rows as one ``.npy`` file without holding more than one of them."""
    with path.open("wb") as file:
        for index, row in enumerate(rows):
            if index == 0:
                header = {
                    "descr": np.lib.format.dtype_to_descr(row.dtype),
                    "fortran_order": False,
                    "shape": (count, *row.shape),
                }
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(row).data)


def copy_hashed(source: Path, target: Path, stopped: Event) -> str:
    """Copy a file, have the copy on the disk, and return its SHA-256, in hex.

    Raises :class:`CancelledError` after the piece during which ``stopped`` is set.
    """
    digest = hashlib.sha256()
    with source.open("rb", buffering=0) as original, target.open("wb") as copy:
        while piece := original.read(_PIECE):
            digest.update(piece)
            copy.write(piece)
            if stopped.is_set():
                raise CancelledError
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()
