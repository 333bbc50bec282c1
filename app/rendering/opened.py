"""An open render: its plan, its segments, and what encodes all or some of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from app.media.files import replacing
from app.media.sound import Sound
from app.media.timing import Segment
from app.notices import Notice
from app.progress import Alive, Progress
from app.rendering.encoding import SegmentEncoding
from app.rendering.frames import FrameMaker
from app.rendering.plan import Plan
from app.rendering.warned import change_notices, speech_notices
from app.rendering.workspace import Workspace
from app.volume import delete


@dataclass(frozen=True)
class RenderReport:
    """What a render was and what it took. ``frames_rendered`` leaves out those of an earlier attempt."""

    frame_count: int
    frames_rendered: int
    duration: float
    wall_seconds: float
    stage_seconds: dict[str, float]
    warnings: list[Notice]


@dataclass(frozen=True)
class OpenRender:
    """A render that is open; made by ``Renderer.open``."""

    workspace: Workspace
    plan: Plan
    segments: list[Segment]
    encoding: SegmentEncoding
    maker: FrameMaker
    lanes: int
    sound: Sound
    """The sound as it was decoded; the result has it cut, or with silence after it."""
    notices: list[Notice]
    """What the caller should know."""

    @property
    def frame_count(self) -> int:
        """Frames of the whole render."""
        return self.plan.frame_count

    @property
    def duration(self) -> float:
        """Length of the whole render, seconds."""
        return float(self.maker.timeline.duration)

    @property
    def is_begun(self) -> bool:
        """Whether the fragments on the disk, if there are any, are of this very plan."""
        return self.plan.is_at(self.workspace.plan) and self.workspace.init.exists()

    def begin(self) -> None:
        """Keep the fragments of an earlier attempt if they belong to the same plan; else start over."""
        if self.is_begun:
            return
        workspace = self.workspace
        workspace.plan.unlink(missing_ok=True)
        delete(workspace.segments)
        workspace.segments.mkdir()
        self.encoding.packing.write_init(workspace.init)
        self.plan.write(workspace.plan)

    def share_sound(self) -> None:
        """Leave the decoded sound to the other processes that open this render."""
        share_sound(self.workspace, self.sound)

    def encode(self, segments: Sequence[Segment], progress: Progress) -> int:
        """Encode those of ``segments`` that are not on the disk; return how many frames that took.

        ``progress`` is told of the frames of ``segments``, those on the disk included.
        """
        missing = [segment for segment in segments if not self.workspace.fragment(segment.index).exists()]
        total = sum(segment.frame_count for segment in segments)
        self.encoding.run(missing, self.maker, total, progress, self.lanes)
        return sum(segment.frame_count for segment in missing)

    def join(self, alive: Alive) -> None:
        """Make the result of the fragments, which all have to be there."""
        started = perf_counter()
        fragments = [self.workspace.fragment(segment.index) for segment in self.segments]
        self.encoding.packing.join(self.workspace.init, fragments, self.result, alive)
        self.maker.seconds.mux += perf_counter() - started

    @property
    def result(self) -> Path:
        """The file of the result."""
        return self.workspace.result_of(self.plan.options["format"])

    @property
    def mouth_offset(self) -> float:
        """By how much later than its sound the mouth is to move, seconds."""
        return float(self.plan.options["mouth_offset_ms"]) / 1000

    def last_notices(self) -> list[Notice]:
        """Return the warnings that are known once all segments are made, until it is tidied.

        They are about what was heard, and how many mouths were changed.
        """
        timeline = self.maker.timeline
        indices = range(self.frame_count)
        changed = self.maker.mouths.weights.of(indices) > 0
        asked = timeline.mouth_weights(indices) > 0
        speech = np.concatenate([self.maker.mouths.speech(segment) for segment in self.segments])
        times = np.arange(len(speech)) / float(timeline.fps) - self.mouth_offset
        return [
            *speech_notices(self.sound, speech, times),
            *change_notices(changed[asked], float(timeline.fps)),
        ]

    def report(self, frames_rendered: int, wall_seconds: float, last: Sequence[Notice] = ()) -> RenderReport:
        """Return what the render was and what it took; ``last`` is what :meth:`last_notices` gave."""
        return RenderReport(
            frame_count=self.frame_count,
            frames_rendered=frames_rendered,
            duration=self.duration,
            wall_seconds=wall_seconds,
            stage_seconds=asdict(self.maker.seconds),
            warnings=[*self.notices, *last],
        )


def share_sound(workspace: Workspace, sound: Sound) -> None:
    """Leave the decoded sound to whoever opens the render."""
    with replacing(workspace.sound) as temporary:
        temporary.write_text(json.dumps(asdict(sound)), encoding="utf-8")


def shared_sound(workspace: Workspace) -> Sound:
    """Return the sound that another process has decoded. Raises FileNotFoundError if none has."""
    sound = Sound(**json.loads(workspace.sound.read_text(encoding="utf-8")))
    return replace(sound, track_path=str(workspace.track), speech_path=str(workspace.speech))
