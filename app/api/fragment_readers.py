"""Who reads the fragments of which render: the last reader of a finished one takes them away."""

from collections import Counter
from functools import partial

import structlog
from anyio import CancelScope

from app.jobs.job import Job, JobState
from app.rendering.workspace import Workspace
from app.threads import tidy_results
from app.tracing import about

log = structlog.stdlib.get_logger(__name__)


class FragmentReaders:
    """Belongs to the event loop."""

    def __init__(self) -> None:
        self._counts: Counter[Workspace] = Counter()
        """How many read the fragments of each render."""
        self._clearing: set[Workspace] = set()
        """The renders whose fragments are being deleted, which takes a slow volume a while."""

    def enter(self, workspace: Workspace) -> None:
        """Keep the fragments of a render there until :meth:`leave`."""
        self._counts[workspace] += 1

    def may_read(self, workspace: Workspace) -> bool:
        """Return whether the fragments of a render, if there are any, stay until they were read."""
        return workspace not in self._clearing

    async def leave(self, workspace: Workspace, job: Job) -> None:
        """Take the fragments of a render away if its job has succeeded and nobody else reads them."""
        self._counts[workspace] -= 1
        if self._counts[workspace] > 0:
            return
        del self._counts[workspace]
        if job.state is JobState.SUCCEEDED and workspace not in self._clearing:
            self._clearing.add(workspace)
            try:
                with CancelScope(shield=True):
                    await tidy_results(partial(workspace.clear_scratch, keep_fragments=False))
            except OSError as error:
                log.error("files_not_deleted", **about(job.id, job.traceparent), error=str(error))
            finally:
                self._clearing.discard(workspace)
