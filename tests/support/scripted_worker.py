"""A render process that does as a job's parameters say: works, crashes, hangs or breaks, without a model."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.errors import InvalidModel, NoFace
from app.jobs import worker
from app.jobs.files import DataFolder
from app.jobs.job import Job
from app.jobs.runner import JobStats
from app.progress import Progress
from app.settings import Settings


class ScriptedRunner:
    """A job's parameters: ``frames``, ``pause`` (seconds a frame), how to ``misbehave`` on the first
    ``attempts``; an upload misbehaves as its file's name says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = DataFolder(settings.data_dir)

    def load(self) -> Mapping[str, Any]:
        """Load nothing, or fail as the model's name says."""
        match self._settings.model_path.stem:
            case "damaged":
                raise InvalidModel("The model is damaged: 352 entries expected, 17 found.")
            case "crashing":
                os.kill(os.getpid(), signal.SIGSEGV)
        print("a library that prints to standard output")
        return {"name": "script", "device": "none"}

    def run(self, job: Job, progress: Progress) -> JobStats:
        """Do as the job's parameters say."""
        params = job.params
        frames = params.get("frames", 3)
        if job.attempts <= params.get("attempts", 99):
            match params.get("misbehave", Path(params.get("filename", "")).stem):
                case "crash":
                    progress(1, frames)
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "hang":
                    progress(1, frames)
                    time.sleep(3600)
                case "refuse":
                    raise NoFace("No face.")
                case "break":
                    raise RuntimeError("secret words of a traceback")
        self._files.job(job.id).mkdir(parents=True, exist_ok=True)
        for done in range(frames):
            progress(done, frames)
            time.sleep(params.get("pause", 0))
        self._files.workspace(job.id).result.write_text(f"attempt {job.attempts}")
        return JobStats(frames, frames / 25)


if __name__ == "__main__":
    worker.main(ScriptedRunner)
