"""Checkpoints on a CPU: converted to ONNX once, and found again at every later start."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import EngineUnavailable
from app.media.digests import known_sha256
from app.wav2lip.export import export


def converted(checkpoint: Path, cache_dir: Path | None = None, *, lower_rows: bool = False) -> Path:
    """Return the ONNX file of ``checkpoint``, exported if it is not there yet; see :func:`export`.

    It stands beside the checkpoint, or in ``cache_dir`` where that folder cannot be written, and carries the
    checkpoint's digest in its name, so that a replaced checkpoint is exported again. Raises InvalidModel and
    EngineUnavailable.
    """
    rows = ".lower" if lower_rows else ""
    name = f"{checkpoint.stem}.{known_sha256(checkpoint)[:8]}{rows}.onnx"
    folders = [checkpoint.parent] + ([cache_dir] if cache_dir else [])
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    refusals: list[OSError] = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                if not (folder / name).is_file():
                    export(checkpoint, folder / name, lower_rows=lower_rows)
            return folder / name
        except OSError as refusal:
            refusals.append(refusal)
    raise EngineUnavailable(
        f"{checkpoint} must be converted to ONNX to run on a CPU, but the result cannot be stored "
        f"({'; '.join(map(str, refusals))}): make {checkpoint.parent} writable, or convert it elsewhere "
        "with `mouthpiece export`."
    ) from refusals[0]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait while another process has locked the folder: workers start together, and one export will do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a volume that knows no locks: then each exports it for itself
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
