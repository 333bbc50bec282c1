"""What may be in the place of a file and is none."""

import os
import shutil
from pathlib import Path
from typing import Final

ODDITIES: Final = ("folder", "pipe", "loop")


def put_odd(path: Path, oddity: str) -> None:
    """Put one of ``ODDITIES`` in the place of a file; the folder is not empty."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match oddity:
        case "folder":
            path.mkdir()
            (path / "inside").write_bytes(b"inside")
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
