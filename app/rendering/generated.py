"""Mouths that a Wav2Lip model generates, crop by crop, and that are pasted into the frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.windows import MelTrack
from app.avatars.avatar import Avatar, CutFaces
from app.media.frames import I420Frame
from app.media.timing import Segment
from app.mouths.covers import FaceCover, spare
from app.mouths.ear import SpeechShares
from app.mouths.types import Flags
from app.progress import Alive
from app.rendering.compositor import Compositor
from app.rendering.mouths import MouthRun
from app.rendering.stages import StageSeconds
from app.rendering.timeline import Timeline
from app.rendering.weights import Weights
from app.wav2lip.infer import Wav2LipInfer

MelWindow = npt.NDArray[np.float32]
"""float32 (80, 16), -4..4: what the mouth of one frame says."""

_MEL_FRAMES: Final = 64
"""Frames whose mel windows are computed together: each computation costs 5 ms besides what it computes."""


@dataclass(frozen=True)
class GeneratedMouths:
    """Mouths that a Wav2Lip model generates."""

    infer: Wav2LipInfer
    avatar: Avatar
    mel: MelTrack
    timeline: Timeline
    weights: Weights
    mouth_offset_ms: float
    turn: Lock = field(default_factory=Lock)
    """Held while the model works: one thread at a time may call it."""

    @property
    def leaning(self) -> bool:
        """See :class:`Mouths`."""
        return False

    @property
    def batch_size(self) -> int:
        """Frames a call at which the model is at its fastest."""
        return self.infer.batch_size

    def over(self, indices: Sequence[int], seconds: StageSeconds, alive: Alive) -> MouthRun:
        """Return what generates the mouths of result frames ``indices``."""
        return _GeneratedRun(self, indices, seconds, alive)

    def kinds(self, segment: Segment) -> tuple[Flags, Flags]:
        """See :class:`Mouths`."""
        return np.zeros(segment.frame_count, np.bool_), np.ones(segment.frame_count, np.bool_)

    def speech(self, segment: Segment) -> SpeechShares:
        """See :class:`Mouths`."""
        return np.ones(segment.frame_count, np.float32)


class _GeneratedRun:
    def __init__(
        self, mouths: GeneratedMouths, indices: Sequence[int], seconds: StageSeconds, alive: Alive
    ) -> None:
        assert mouths.avatar.faces is not None
        self._mouths, self._seconds, self._alive = mouths, seconds, alive
        self._faces: CutFaces = mouths.avatar.faces
        self._compositor = Compositor(mouths.avatar.layout)
        self._windows = self._all_windows(indices)

    def put(self, frames: list[I420Frame], indices: Sequence[int], sources: list[int]) -> None:
        self._alive()
        heard = np.stack(list(islice(self._windows, len(indices))))
        avatar = self._mouths.avatar
        weights = self._mouths.weights.of(indices)
        changed = np.flatnonzero(weights > 0).tolist()
        if not changed:
            return
        wanted = [sources[place] for place in changed]
        crops, references = self._faces.crops[wanted], self._faces.references[wanted]
        with self._mouths.turn:
            started = perf_counter()
            faces = self._mouths.infer.render(heard[changed], crops, references)
            drawn = perf_counter()
        for place, source, face, crop in zip(changed, wanted, faces, crops, strict=True):
            self._alive()
            mask, landmarks = self._faces.masks[source], avatar.landmarks[source]
            marks = avatar.person.cover(source, landmarks)
            if marks is not None:
                mask = spare(mask, FaceCover.of(marks, landmarks), avatar.boxes[source])
            if weights[place] < 1:
                mask = np.rint(mask * weights[place]).astype(np.uint8)
            self._compositor.paste(frames[place], face, crop, avatar.boxes[source], mask)
        self._seconds.model += drawn - started
        self._seconds.composite += perf_counter() - drawn

    def _all_windows(self, indices: Sequence[int]) -> Iterator[MelWindow]:
        """Yield the mel window of each frame, in order."""
        mouths = self._mouths
        for together in _in_a_row(indices):
            started = perf_counter()
            times = np.array([mouths.timeline.time(index) for index in together])
            windows = mouths.mel.windows(times, mouths.mouth_offset_ms)
            self._seconds.listen += perf_counter() - started
            yield from windows


def _in_a_row(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    """Divide frames into runs of those that follow each other, of :data:`_MEL_FRAMES` at most."""
    start = 0
    for stop in range(1, len(indices) + 1):
        ends = stop == len(indices) or indices[stop] != indices[stop - 1] + 1
        if ends or stop - start == _MEL_FRAMES:
            yield indices[start:stop]
            start = stop
