"""The files that a process needs to decode and render: jobs, avatars, the model and the libraries."""

import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

import app
from app.bundled import bundled
from app.settings import Settings

_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/OpenCL",
)
"""What libraries read. Of other processes /proc shows a locked one no memory and no environment."""

_OF_A_PREFIX: Final = ("bin", "lib", "lib64", "share", "pyvenv.cfg")
"""What of Python's folder is read where the service works inside of it."""

_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "nvidia*", "nvidia-caps/*", "dri/*")
"""Below /dev; the last three are graphics cards."""


@dataclass(frozen=True)
class Sandbox:
    """What a process may do once it has entered: read these files and folders, and write to those."""

    read: tuple[Path, ...]
    write: tuple[Path, ...]

    @classmethod
    def of_files(cls, read: Iterable[Path], write: Iterable[Path]) -> Self:
        """Return the sandbox of a decoder: one job's files, beside the libraries."""
        return cls((*_libraries(), *read), (*write, *_devices()))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the sandbox of a worker: not the job database, not ``.env``, nobody's home."""
        write = [settings.avatars_dir, settings.data_dir / "jobs", settings.data_dir / "cache"]
        if settings.frames_dir:
            write.append(settings.frames_dir)
        for folder in write:
            with suppress(OSError):  # a volume that is only read
                folder.mkdir(parents=True, exist_ok=True)
        read = [*_libraries(), *_models(settings)]
        return cls(tuple(read), (*write, *_devices()))


def keep_temporary_files_in(folder: Path) -> None:
    """Have libraries write their temporary files to ``folder``: a locked process has no /tmp.

    torch needs one to convert a checkpoint.
    """
    with suppress(OSError):  # a volume that is only read
        folder.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


@cache
def _libraries() -> tuple[Path, ...]:
    code = Path(app.__file__).parent.resolve()
    own = [code.parent]
    with suppress(OSError):  # the working folder is gone
        own.append(Path.cwd())

    def holds_own(folder: Path) -> bool:
        """Whether the project or the working folder lies in it, with ``.env``, avatars and jobs."""
        return any(path.is_relative_to(folder.resolve()) for path in own)

    python = [*map(Path, {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()})]
    parts = (folder / name for folder in python if holds_own(folder) for name in _OF_A_PREFIX)
    folders = (*python, *map(Path, filter(None, sys.path)))
    system = (part for path in map(Path, _SYSTEM) for part in _without(path, own))
    return *system, *parts, code, *(path for path in folders if not holds_own(path))


def _without(folder: Path, own: Sequence[Path]) -> Iterator[Path]:
    """Yield a folder, or what is in it beside the folders of ``own`` that lie below it."""
    if not any(path.is_relative_to(folder.resolve()) for path in own):
        yield folder
    elif folder not in own:
        for part in folder.iterdir():
            yield from _without(part, own)


def _models(settings: Settings) -> Iterator[Path]:
    yield from (settings.models_dir, bundled("models"))
    beside = settings.model_path.parent
    if (beside / ".env").exists():  # then only what is the model's by its name
        yield from (path for path in beside.glob("*") if path.name.startswith(settings.model_path.stem))
    else:
        yield beside
    if settings.detector == "s3fd":
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        yield Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch")


def _devices() -> Iterator[Path]:
    for pattern in _DEVICES:
        yield from Path("/dev").glob(pattern)
