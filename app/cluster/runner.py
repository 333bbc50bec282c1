"""What is done with a part: what one machine does with a job, and groups of segments of a long render."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from app.errors import MouthpieceError
from app.jobs.job import Job
from app.jobs.runner import JobStats, ModelRunner, Runner
from app.progress import Progress

if TYPE_CHECKING:
    from app.rendering.opened import OpenRender

SPREAD_SECONDS: Final = 60.0
"""A render that is longer is made in groups of segments, by all workers that are free."""
GROUP_SECONDS: Final = 30.0
"""Length of a group: what a short render waits for at most, and what pays for opening the avatar anew."""


class Render(Protocol):
    """A render that is open."""

    @property
    def frame_count(self) -> int:
        """Frames of the whole."""

    @property
    def groups(self) -> list[range]:
        """The numbers of the segments of each group; one group if the render is not to be spread."""

    def begin(self, *, share: bool) -> None:
        """Make the workspace ready; ``share`` says that other workers will open the same render."""

    def encode(self, group: range, progress: Progress) -> int:
        """Make the segments of a group that are not there, and return how many frames the group has."""

    def finish(self) -> JobStats:
        """Make the result, for which all segments have to be there."""


class PartRunner(Runner, Protocol):
    """Does the work of a part."""

    def open_render(self, job: Job, progress: Progress, *, begun: bool) -> AbstractContextManager[Render]:
        """Open a render; ``begun`` says that another worker has, whose plan must be the same.

        Raises what ``Runner.run`` raises.
        """


class SegmentRunner(ModelRunner):
    """Does parts with the model that the settings name."""

    @contextmanager
    def open_render(self, job: Job, progress: Progress, *, begun: bool) -> Iterator[Render]:
        """See :class:`PartRunner`."""
        with self._telling_of_deletion(job):
            alive = partial(progress, 0, 0)
            workspace = self._files.workspace(job.id)
            with self._workshop.renderer.open(self._request(job), workspace, alive) as opened:
                if begun and not opened.is_begun:
                    raise MouthpieceError(
                        "The avatar was made anew meanwhile, or the workers differ in model or encoder; "
                        "try again when they are alike."
                    )
                yield SpreadRender(opened, keep_fragments=job.params["stream"])


@dataclass
class SpreadRender:
    """See :class:`Render`."""

    opened: "OpenRender"
    keep_fragments: bool
    frames: int = field(default=0, init=False)

    @property
    def frame_count(self) -> int:
        """See :class:`Render`."""
        return self.opened.frame_count

    @property
    def groups(self) -> list[range]:
        """See :class:`Render`."""
        segments = self.opened.segments
        if self.opened.duration <= SPREAD_SECONDS:
            return [range(len(segments))]
        starts, frames = [0], 0
        most = GROUP_SECONDS * float(self.opened.maker.timeline.fps)
        for segment in segments:
            if frames and frames + segment.frame_count > most:
                starts.append(segment.index)
                frames = 0
            frames += segment.frame_count
        ends = [*starts[1:], len(segments)]
        return [range(start, end) for start, end in zip(starts, ends, strict=True)]

    def begin(self, *, share: bool) -> None:
        """See :class:`Render`."""
        self.opened.begin()
        if share:
            self.opened.share_sound()

    def encode(self, group: range, progress: Progress) -> int:
        """See :class:`Render`."""
        segments = [self.opened.segments[index] for index in group]
        self.frames += self.opened.encode(segments, progress)
        return sum(segment.frame_count for segment in segments)

    def finish(self) -> JobStats:
        """See :class:`Render`."""
        self.opened.finish(keep_fragments=self.keep_fragments)
        report = self.opened.report(self.frames, 0.0)
        return JobStats(report.frames_rendered, report.duration, report.stage_seconds)
