"""Encoding the missing segments while their frames are made."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from threading import Lock
from time import perf_counter
from typing import Final

from app.media.frames import I420Frame
from app.media.quality import Encoder
from app.media.timing import Segment
from app.progress import Alive, Progress, Repeated
from app.rendering.frames import BATCHES_HELD, FrameMaker
from app.rendering.packing import Packing
from app.rendering.stages import StageSeconds
from app.rendering.workspace import Workspace
from app.wav2lip.devices import usable_cores

_PROGRESS_EVERY: Final = 8
_CORES_A_LANE: Final = 4
_TWO_ROWS: Final = 32
"""Pixels."""
_LANES_BYTES: Final = 512 << 20
_NVENC_LANES: Final = 3
"""The driver lets consumer cards encode a few streams at once, and three keep one NVENC engine busy."""


@dataclass(frozen=True)
class SegmentEncoding:
    """Encodes segments of one render, each into its fragment."""

    workspace: Workspace
    packing: Packing

    def run(
        self, segments: list[Segment], maker: FrameMaker, total: int, progress: Progress, lanes: int = 1
    ) -> None:
        """Encode ``segments``; ``total``, for ``progress``, counts their frames and those encoded before.

        With several ``lanes``, that many encoders work at once and take the segments in turn. ``progress``
        is called by their threads, and told the same again by those that make frames.
        """
        remaining = sum(segment.frame_count for segment in segments)
        repeated = Repeated(progress)
        tally = _Tally(total - remaining, total, repeated)
        shares = [segments[lane::lanes] for lane in range(min(lanes, len(segments)))]
        if len(shares) < 2:
            self._encode(segments, maker, tally, repeated.again)
            return
        with ThreadPoolExecutor(len(shares), "encoding") as pool:
            makers = [replace(maker, seconds=StageSeconds()) for _ in shares]
            work = zip(shares, makers, strict=True)
            running = [pool.submit(self._encode, share, own, tally, repeated.again) for share, own in work]
        for own in makers:
            maker.seconds.add(own.seconds)
        errors = [error for lane in running if (error := lane.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, _StoppedByAnother)):
            raise error

    def _encode(self, segments: list[Segment], maker: FrameMaker, tally: "_Tally", alive: Alive) -> None:
        started = perf_counter()
        indices = [s.first_frame + i for s in segments for i in range(s.frame_count)]
        waited = _Waited()
        with tally.stopping_all(), closing(maker.make(indices, alive)) as made:
            frames = tally.count(waited.watch(made))
            for segment in segments:
                path = self.workspace.fragment(segment.index)
                self.packing.encode(path, segment, islice(frames, segment.frame_count))
        maker.seconds.encode += perf_counter() - started - waited.seconds


def lanes_for(device: str, frame_bytes: int, batch_size: int, encoder: Encoder = "libx264") -> int:
    """Return how many encoders to run at once: one beside a model on the CPU, which needs the cores itself.

    Where a GPU runs the model, or encodes, one encoder does not fill the machine; the buffers of all lanes
    stay below half a gigabyte.
    """
    if encoder == "libx264" and not device.startswith("cuda"):
        return 1
    wanted = _NVENC_LANES if encoder == "h264_nvenc" else usable_cores() // _CORES_A_LANE
    fitting = _LANES_BYTES // (BATCHES_HELD * batch_size * frame_bytes)
    return max(1, min(wanted, fitting))


def threads_for(height: int, lanes: int) -> int:
    """Return how many threads each of several encoders of frames of a ``height`` gets: together the cores'.

    x264 by itself takes half as many again, of all cores of a machine whose container may use some of them;
    frames that are coded side by side see less of each other (docs/benchmarks.md). One for two rows of
    macroblocks at most, as x264 has it.
    """
    return min(ceil(usable_cores() / lanes), max(1, height // _TWO_ROWS))


class _StoppedByAnother(Exception):
    """Ends a lane when another one has failed."""


class _Tally:
    """Counts the frames of all lanes."""

    def __init__(self, done: int, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = done, total, progress
        self._lock = Lock()
        self._stopped = False
        progress(done, total)

    @contextmanager
    def stopping_all(self) -> Iterator[None]:
        """Have every lane end if the block fails."""
        try:
            yield
        except BaseException:
            self._stopped = True
            raise

    def count(self, frames: Iterator[I420Frame]) -> Iterator[I420Frame]:
        """Pass the frames of a lane on."""
        for frame in frames:
            with self._lock, self.stopping_all():
                if self._stopped:
                    raise _StoppedByAnother
                self._done += 1
                if self._done % _PROGRESS_EVERY == 0 or self._done == self._total:
                    self._progress(self._done, self._total)
            yield frame


class _Waited:
    """How long the encoder had to wait for frames."""

    seconds = 0.0

    def watch(self, frames: Iterator[I420Frame]) -> Iterator[I420Frame]:
        while True:
            started = perf_counter()
            frame = next(frames, None)
            self.seconds += perf_counter() - started
            if frame is None:
                return
            yield frame
