"""The layout of the data folder: the job database, and one folder per job."""

import fcntl
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.errors import DataFolderInUse
from app.jobs.job import NewJob, format_of, new_id
from app.rendering.workspace import Workspace
from app.volume import delete

UPLOADS: Final = ("upload", "video", "voice", "background")
"""How the files are called that a caller may send with a job; the first is the job's main one."""


@dataclass(frozen=True)
class DataFolder:
    """The data folder.

    ``jobs.sqlite3``      the job database
    ``service.lock``      held by the one service that works here
    ``jobs/<id>/upload``  what the caller sent, until the job has ended
    ``jobs/<id>/video``   the video that the caller sent with a sound, as long; so ``voice``, what is mouthed,
                          and ``background``, the picture behind transparent footage
    ``jobs/<id>/...``     the render's workspace
    """

    root: Path

    @property
    def database(self) -> Path:
        """The job database."""
        return self.root / "jobs.sqlite3"

    def job(self, job_id: str) -> Path:
        """Return the folder of a job; its id is one that ``new_id`` made."""
        return self.root / "jobs" / job_id

    def upload(self, job_id: str, name: str = UPLOADS[0]) -> Path:
        """Return where a file lies that the caller sent with a job: the first one, or one of ``UPLOADS``."""
        return self.job(job_id) / name

    def workspace(self, job_id: str) -> Workspace:
        """Return the workspace of a render job."""
        return Workspace(self.job(job_id))

    def result(self, job: NewJob) -> Path:
        """Return where the video of a render lies, or will; the volume is not looked at."""
        return self.workspace(job.id).result_of(format_of(job.params))

    def forget(self, job_id: str) -> None:
        """Delete all files of a job, if there are any. Raises ``OSError`` if some could not be, at last."""
        delete(self.job(job_id))

    def replace(self, job_id: str, arrived: str) -> str:
        """Give a job the files that arrived under another id, and return the id of those it had."""
        before = new_id()
        with suppress(FileNotFoundError):
            self.job(job_id).rename(self.job(before))
        self.job(arrived).rename(self.job(job_id))
        return before

    def put_back(self, job_id: str, arrived: str, before: str) -> None:
        """Undo :meth:`replace`, which returned ``before``."""
        self.job(job_id).rename(self.job(arrived))
        with suppress(FileNotFoundError):
            self.job(before).rename(self.job(job_id))

    def keep_result(self, job: NewJob) -> None:
        """Delete all of a job that has succeeded but its result, and the fragments of one to be streamed.

        Raises ``OSError`` if something could not be deleted, at last.
        """
        scratch = self.workspace(job.id).scratch(keep_fragments=job.params.get("stream", False))
        unfinished = self.job(job.id).glob(".*")  # by workers that died over it
        delete(*scratch, *unfinished, *(self.upload(job.id, name) for name in UPLOADS))
        with suppress(OSError):
            self.job(job.id).rmdir()  # if that was all in it

    def sweep(self, known: Collection[str]) -> int:
        """Delete the folders of jobs that are not ``known``: uploads cut off by a crash. Return how many.

        Only for the start of the service: an upload that is in progress has a folder but no record yet.
        """
        folder = self.root / "jobs"
        strays = [path for path in folder.iterdir() if path.name not in known] if folder.is_dir() else []
        for path in strays:
            shutil.rmtree(path, ignore_errors=True)
        return len(strays)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second service off this folder for as long as the block lasts, a crash included.

        Raises ``DataFolderInUse``.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "service.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataFolderInUse(
                    f"Another service works on {self.root}; stop it, or set another MOUTHPIECE_DATA_DIR."
                ) from None
            yield
