"""A worker that does as a job's parameters say: works, crashes, hangs or breaks, without a model."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from app.errors import InvalidModel, NoFace
from app.jobs.files import DataFolder
from app.jobs.pool import Answer, Call
from app.progress import Progress
from app.settings import Settings
from app.workers import child


class ScriptedWorker:
    """A job's parameters: ``frames``, ``pause`` (seconds a frame), a file ``held`` during which its first
    frame lasts, how to ``misbehave`` the first ``attempts`` times; an upload misbehaves as its file's name
    says."""

    def __init__(self, settings: Settings) -> None:
        """Load nothing, or fail as the model's name, or what is in its file, says."""
        self._data = DataFolder(settings.data_dir)
        self.model: Mapping[str, Any] = {"name": "script", "device": "none"}
        path = settings.model_path
        text = path.read_text() if path.is_file() else path.stem
        match text:
            case "damaged":
                raise InvalidModel("The model is damaged: 352 entries expected, 17 found.")
            case "slow":
                time.sleep(3600)
            case "crashing":
                os.kill(os.getpid(), signal.SIGSEGV)
        print("a library that prints to standard output")

    def do(self, call: Call, progress: Progress, gives_way: Callable[[], bool]) -> Answer:
        """Do as the job's parameters say."""
        frames = call.params.get("frames", 3)
        match call.method:
            case "prepare":
                return {"frames": [frames], "there": [], "media_seconds": frames / 25}
            case "finish":
                self._data.workspace(call.job_id).result.write_text(f"frames {frames}")
                return {}
        self._work(call, frames, progress)
        return {"frames_made": frames, "media_seconds": frames / 25, "segments": list(call.segments)}

    def _work(self, call: Call, frames: int, progress: Progress) -> None:
        params = call.params
        if self._tries(call) <= params.get("attempts", 99):
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
        self._data.job(call.job_id).mkdir(parents=True, exist_ok=True)
        while "held" in params and Path(params["held"]).exists():
            progress(1, frames)
            time.sleep(0.02)
        for done in range(frames):
            progress(done, frames)
            time.sleep(params.get("pause", 0))

    def _tries(self, call: Call) -> int:
        """Return how often this was tried, this time included, where the job asks for that to be counted."""
        if "attempts" not in call.params:
            return 1
        with (self._data.job(call.job_id) / "tries").open("ab") as file:
            file.write(b".")
            return file.tell()


if __name__ == "__main__":
    child.main(lambda settings: partial(ScriptedWorker, settings))
