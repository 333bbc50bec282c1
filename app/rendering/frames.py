"""The frames of the result, made in batches a little ahead of the encoder that takes them."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from threading import Lock
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.windows import MelTrack, MelWindows
from app.avatars.avatar import Avatar
from app.faces.types import has_face
from app.media.frames import I420Frame
from app.rendering.compositor import Compositor
from app.rendering.timeline import Timeline
from app.wav2lip.infer import Wav2LipInfer

MelWindow = npt.NDArray[np.float32]
"""float32 (80, 16), -4..4: what the mouth of one frame says."""

_BATCHES_AHEAD: Final = 2
BATCHES_HELD: Final = _BATCHES_AHEAD + 1
"""Batches whose frames are in memory at a time."""

_MEL_FRAMES: Final = 64
"""Frames whose mel windows are computed together: each computation costs 5 ms besides what it computes."""


@dataclass
class StageSeconds:
    """Time spent in each stage, seconds; the stages overlap, so that the sum exceeds the wall time."""

    sound: float = 0.0
    mel: float = 0.0
    frames: float = 0.0
    model: float = 0.0
    composite: float = 0.0
    encode: float = 0.0
    mux: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add the time that another thread spent."""
        for name, seconds in asdict(other).items():
            setattr(self, name, getattr(self, name) + seconds)


@dataclass(frozen=True)
class FrameMaker:
    """Makes the frames of one render."""

    infer: Wav2LipInfer
    avatar: Avatar
    mel: MelTrack
    timeline: Timeline
    mouth_offset_ms: float
    seconds: StageSeconds = field(default_factory=StageSeconds)
    turn: Lock = field(default_factory=Lock)
    """Held while the model works: one thread at a time may call it."""

    def make(self, indices: Sequence[int]) -> Generator[I420Frame]:
        """Yield the result's frames ``indices``, the next batches being made meanwhile in another thread.

        A frame is good until the next one is asked for: then its memory is used again.
        """
        size = self.infer.batch_size
        buffers = [self._new_buffers(min(size, len(indices))) for _ in range(BATCHES_HELD)]
        windows = self._windows(indices)
        pool = ThreadPoolExecutor(1, "frames")
        pending: deque[Future[list[I420Frame]]] = deque()
        try:
            for number, start in enumerate(range(0, len(indices), size)):
                free = buffers[number % len(buffers)]
                pending.append(pool.submit(self._make_batch, indices[start : start + size], windows, free))
                if len(pending) > _BATCHES_AHEAD:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _new_buffers(self, count: int) -> list[I420Frame]:
        return [np.empty(self.avatar.layout.frame_bytes, np.uint8) for _ in range(count)]

    def _windows(self, indices: Sequence[int]) -> Iterator[MelWindow]:
        """Yield the mel window of each frame, in order."""
        for start in range(0, len(indices), _MEL_FRAMES):
            started = perf_counter()
            times = np.array([self.timeline.time(index) for index in indices[start : start + _MEL_FRAMES]])
            windows = self.mel.windows(times, self.mouth_offset_ms)
            self.seconds.mel += perf_counter() - started
            yield from windows

    def _make_batch(
        self, indices: Sequence[int], windows: Iterator[MelWindow], buffers: list[I420Frame]
    ) -> list[I420Frame]:
        heard = np.stack(list(islice(windows, len(indices))))
        started = perf_counter()
        sources = [self.timeline.avatar_frame(index) for index in indices]
        frames = buffers[: len(sources)]
        for source, frame in zip(sources, frames, strict=True):
            self.avatar.frames.read_into(source, frame)
        self.seconds.frames += perf_counter() - started
        with_face = np.flatnonzero(has_face(self.avatar.boxes[sources])).tolist()
        if with_face:
            self._paste_mouths(
                [frames[i] for i in with_face], [sources[i] for i in with_face], heard[with_face]
            )
        return frames

    def _paste_mouths(self, frames: list[I420Frame], sources: list[int], windows: MelWindows) -> None:
        crops, references = self.avatar.crops[sources], self.avatar.references[sources]
        with self.turn:
            started = perf_counter()
            faces = self.infer.render(windows, crops, references)
            drawn = perf_counter()
        compositor = Compositor(self.avatar.layout)
        for frame, source, face, crop in zip(frames, sources, faces, crops, strict=True):
            compositor.paste(frame, face, crop, self.avatar.boxes[source], self.avatar.masks[source])
        self.seconds.model += drawn - started
        self.seconds.composite += perf_counter() - drawn
