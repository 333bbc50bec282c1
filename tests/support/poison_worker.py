"""A worker whose decoder crashes, hangs or takes its time on files that are named for it."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.cluster import worker
from app.cluster.runner import Render, SegmentRunner
from app.jobs.job import Job
from app.progress import Progress
from app.settings import Settings
from tests.support.backing import HEARTBEAT_SECONDS

COMMAND: Final = (sys.executable, "-m", "tests.support.poison_worker")


class PoisonRunner(SegmentRunner):
    """Renders as ever, but for ``poison.wav``, ``endless.wav`` and ``slow.wav``."""

    @contextmanager
    def open_render(self, job: Job, progress: Progress, *, begun: bool) -> Iterator[Render]:
        """Open a render, or misbehave as the file's name says."""
        match Path(job.params["filename"]).stem:
            case "poison":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "slow":
                end = time.monotonic() + 4 * HEARTBEAT_SECONDS
                while time.monotonic() < end:
                    progress(0, 0)
            case "endless":
                progress(1, 100)
                time.sleep(3600)
        with super().open_render(job, progress, begun=begun) as render:
            yield render


if __name__ == "__main__":
    worker.run(Settings(), make_runner=PoisonRunner)
