"""The frames of the result, made in batches slightly ahead of the encoder."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import numpy as np

from app.avatars.avatar import Avatar, color_of
from app.media.frames import I420Frame
from app.progress import Alive, nothing
from app.rendering.clearing import Clearing
from app.rendering.deepening import Deepening
from app.rendering.framing import Framing
from app.rendering.mouths import MouthRun, Mouths
from app.rendering.stages import StageSeconds
from app.rendering.timeline import Timeline

_BATCHES_AHEAD: Final = 2
BATCHES_HELD: Final = _BATCHES_AHEAD + 1
"""Batches whose frames are in memory at a time."""


@dataclass(frozen=True)
class FrameMaker:
    """Makes the frames of one render."""

    avatar: Avatar
    timeline: Timeline
    mouths: Mouths
    framing: Framing
    seconds: StageSeconds = field(default_factory=StageSeconds)

    @property
    def batch_size(self) -> int:
        """Frames that are made together."""
        return self.mouths.batch_size

    def make(self, indices: Sequence[int], alive: Alive = nothing) -> Generator[I420Frame]:
        """Yield the result's frames ``indices``, the next batches being made meanwhile in another thread.

        A frame is good until the next one is asked for: then its memory is used again. That thread calls
        ``alive`` often, so that it ends soon if that raises.
        """
        size = self.batch_size
        buffers = [self._new_buffers(min(size, len(indices))) for _ in range(BATCHES_HELD)]
        run = self.mouths.over(indices, self.seconds, alive)
        pool = ThreadPoolExecutor(1, "frames")
        pending: deque[Future[list[I420Frame]]] = deque()
        try:
            for number, start in enumerate(range(0, len(indices), size)):
                free = buffers[number % len(buffers)]
                pending.append(pool.submit(self._make_batch, indices[start : start + size], run, free))
                if len(pending) > _BATCHES_AHEAD:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _new_buffers(self, count: int) -> list[I420Frame]:
        return [np.empty(self.avatar.layout.frame_bytes, np.uint8) for _ in range(count)]

    def _make_batch(self, indices: Sequence[int], run: MouthRun, buffers: list[I420Frame]) -> list[I420Frame]:
        started = perf_counter()
        sources = [self.timeline.avatar_frame(index) for index in indices]
        frames = buffers[: len(sources)]
        for source, frame in zip(sources, frames, strict=True):
            self.avatar.frames.read_into(source, frame)
        self.seconds.frames += perf_counter() - started
        run.put(frames, indices, sources)
        if self.avatar.transparent is not None:
            clearing = Clearing(self.avatar.layout, self.avatar.frames, self.avatar.transparent)
            frames = [clearing.cleared(frame, source) for frame, source in zip(frames, sources, strict=True)]
        elif self.avatar.deep is not None and self.avatar.manifest.hdr is not None:
            color = color_of(self.avatar.manifest.hdr)
            deepening = Deepening(self.avatar.layout, color, self.avatar.frames, self.avatar.deep)
            pairs = zip(frames, sources, strict=True)
            frames = [deepening.deepened(frame, source) for frame, source in pairs]
        return [self.framing.framed(frame) for frame in frames]
