"""A pool whose one worker is a thread of the service: for tests that are not about processes."""

import asyncio

from app.errors import JobCanceled
from app.jobs.pool import Answer, CallFailed, WorkerLeft
from app.settings import Settings
from app.workers.child import as_error
from tests.support.pretending import Pretended, PretendingPool
from tests.support.scripted_worker import ScriptedWorker


class ScriptedPool(PretendingPool):
    """Its worker does as a job's parameters say, but for those that would end or hang its process.

    With a model named ``slow`` it is never ready.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._stopped = False
        if settings.model_path.stem == "slow":
            self.workers, self.model = 0, None
            self.status = "The model is loading; try again in a few seconds."
        else:
            self._worker = ScriptedWorker(settings)
            self.model = self._worker.model

    async def stop(self) -> None:
        """Have the worker end its call."""
        self._stopped = True

    async def _wait(self, pretended: Pretended) -> Answer:
        loop = asyncio.get_running_loop()

        def hear(done: int, total: int) -> None:
            if self._stopped:
                raise JobCanceled("The job was canceled.")
            loop.call_soon_threadsafe(pretended.told, done, total)

        self._stopped = False
        work = asyncio.create_task(asyncio.to_thread(self._worker.do, pretended.call, hear, lambda: False))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._stopped = True
            await asyncio.gather(work, return_exceptions=True)
            raise
        except JobCanceled as stopped:
            raise WorkerLeft("stopped") from stopped
        except Exception as error:
            raise CallFailed(as_error(error, pretended.call.job_id).problem()) from error
        finally:
            self.running.remove(pretended)
            self._changed()
