"""The volumes: the space that always stays free, and the errors for volumes that cannot be written."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Final, cast

from app.errors import (
    InvalidRequest,
    MouthpieceError,
    StorageDamaged,
    StorageFull,
    StorageReadOnly,
    TooBusy,
    Unavailable,
)
from app.settings import PREFIX, Settings

RESERVED_SHARE: Final = 20
"""One part in so many of a volume is left free,"""
RESERVED_BYTES: Final = 1 << 30
"""but no more than this: so that records can be written, and things deleted, whatever is uploaded."""

_STEP: Final = 16 << 20
"""Most bytes between two looks at the volume while a file grows; a look costs some microseconds."""
_NO_FILE: Final = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""What opening says of a folder, of what lies below a file, of a loop of links, and of a socket."""
_NO_AVATAR: Final = re.compile(r"\.(?!new-|old-)")
"""How the names of folders begin that are neither taken for an avatar nor for what is left of one."""


def check_folders(settings: Settings, *names: str) -> None:
    """Make the folders of these settings, such as ``frames_dir``, as far as they are set.

    Raises ``InvalidRequest`` for one that can never be a folder, or that :func:`check_apart` refuses. What
    may pass, or is answered with an error of its own, such as a volume that is only read, is let be.
    """
    check_apart(settings)
    for name in names:
        folder: Path | None = getattr(settings, name)
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if meaning(error) is None:
                raise InvalidRequest(
                    f"{PREFIX}{name.upper()}: {folder} is not a folder and cannot be made "
                    f"({error.strerror}); name another."
                ) from error


def check_apart(settings: Settings) -> None:
    """Raise ``InvalidRequest`` unless avatars, jobs and decoded frames have a folder each, models too.

    What lies in the avatars' folder is taken for an avatar, and can be deleted as one. What lies in the jobs'
    folder, and belongs to no job, is deleted when the service starts.
    """
    apart = {"DATA_DIR": _real(settings.data_dir), "AVATARS_DIR": _real(settings.avatars_dir)}
    if settings.frames_dir is not None:
        apart["FRAMES_DIR"] = _real(settings.frames_dir)
    for (one, place), (other, second) in combinations(apart.items(), 2):
        if place == second:
            raise InvalidRequest(
                f"{PREFIX}{one} and {PREFIX}{other} both use {place}; name a folder for each."
            )
    jobs, avatars = _real(settings.data_dir / "jobs"), apart["AVATARS_DIR"]
    for name, place in (apart | {"MODELS_DIR": _real(settings.models_dir)}).items():
        if place.is_relative_to(jobs):
            raise InvalidRequest(
                f"{PREFIX}{name} lies in {jobs}, where all is deleted that belongs to no job; name one "
                "elsewhere."
            )
        if place.is_relative_to(avatars) and not _NO_AVATAR.match(str(place.relative_to(avatars))):
            raise InvalidRequest(
                f"{PREFIX}{name} lies in {PREFIX}AVATARS_DIR, {avatars}, whose folders are taken for "
                "avatars; name one elsewhere."
            )


def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))


def room(folder: Path) -> int:
    """Return how many bytes may still be written to the volume of ``folder``, which need not exist yet."""
    while not folder.exists():
        folder = folder.absolute().parent
    usage = shutil.disk_usage(folder)
    return usage.free - min(usage.total // RESERVED_SHARE, RESERVED_BYTES)


def check_room(folder: Path, needed: int = 0) -> int:
    """Return :func:`room`. Raises ``StorageFull`` unless it is more than ``needed`` bytes."""
    there = room(folder)
    if there <= needed:
        short = f"has room for {there / 1e6:.0f} MB, and {needed / 1e6:.0f} MB are needed"
        raise StorageFull(
            f"The volume {short if there >= 1e6 else 'is full'}; delete avatars or jobs, or enlarge it, and "
            "try again."
        )
    return there


class Growth:
    """Watches a file that grows: looks at the volume again and again, long before it is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = 0
        self.total = 0
        """Bytes so far."""

    def add(self, count: int) -> None:
        """Count bytes that are about to be written. Raises ``StorageFull``."""
        if self.total + count > self._next:
            there = check_room(self._folder, count)
            self._next = self.total + count + min(_STEP, there // 4)
        self.total += count


def status_of(path: Path) -> os.stat_result | None:
    """Return what is known of a plain file; None if there is none, whatever else is in its place.

    A pipe would hold whoever opens it. Raises ``OSError`` if the volume cannot be asked now: from Python 3.14
    on, pathlib's own ``is_file`` answers False.
    """
    found = _found(path)
    return found if found and stat.S_ISREG(found.st_mode) else None


def is_file(path: Path) -> bool:
    """Return whether there is a plain file; see :func:`status_of`."""
    return status_of(path) is not None


def is_folder(path: Path) -> bool:
    """Return whether there is a folder. Raises ``OSError`` as :func:`status_of`."""
    found = _found(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _found(path: Path) -> os.stat_result | None:
    """Return what is known of whatever is at a path; None if that leads nowhere."""
    try:
        return path.stat()
    except OSError as error:
        if error.errno == errno.ENOENT or is_misplaced(error):
            return None
        raise


def is_misplaced(error: OSError) -> bool:
    """Return whether an error says that a folder, or another odd thing, is where a file should be."""
    return error.errno in _NO_FILE


def delete(*paths: Path) -> None:
    """Delete files, and folders with all that is in them, as far as they are there.

    Raises the first ``OSError`` once all is deleted that can be.
    """
    errors: list[OSError] = []
    for path in paths:
        try:
            if path.is_dir():
                shutil.rmtree(path, onerror=lambda _, __, error: errors.append(cast(OSError, error[1])))
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            errors.append(error)
    for found in errors:
        if not isinstance(found, FileNotFoundError):  # somebody else deletes it, too
            raise found


@contextmanager
def storing() -> Iterator[None]:
    """Raise the error of ours for what the system refuses inside the block, where there is one."""
    try:
        yield
    except OSError as error:
        meant = meaning(error)
        if meant is None:
            raise
        raise meant from error


def meaning(error: OSError) -> MouthpieceError | None:
    """Return what an error of the system means for a caller; None if it should not have come about."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StorageFull("The volume is full; delete avatars or jobs, or enlarge it, and try again.")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return StorageReadOnly(
                "The service may not read or write the volume; the operator finds the reason with "
                "'mouthpiece doctor'."
            )
        case errno.EMFILE | errno.ENFILE:
            return TooBusy("The service has too many open files and connections; try again in a few seconds.")
        case errno.EIO | errno.ESTALE | errno.ETIMEDOUT | errno.ENOTCONN:
            return Unavailable("The volume failed to respond; try again in a few seconds.")
    return None


def lasting_meaning(error: OSError) -> MouthpieceError | None:
    """Return what an error means for a caller, as :func:`meaning` does, or that somebody has to clear up."""
    if not is_misplaced(error):
        return meaning(error)
    path = error.filename2 or error.filename
    name = repr(Path(str(path)).name) if path else "a file"
    return StorageDamaged(
        f"Something else, such as a folder, is in the place of {name}, or a file in that of its folder; move "
        "it away and try again."
    )
