"""Studying footage while the face is still followed in what comes, so that no processor waits."""

from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from types import TracebackType
from typing import Final, Self

import numpy as np
import structlog

from app.faces.types import FaceLandmarks, FaceMeshPoints
from app.media.frames import FrameLayout
from app.mouths.looking import Frames, Looker
from app.mouths.marks import cover_every
from app.mouths.notes import Notes

log = structlog.stdlib.get_logger(__name__)

_MOST_WAITING: Final = 64
"""Frames that wait to be studied; of more, what comes is passed over."""


class StudyAhead:
    """Studies frames whose face is settled, by a thread of its own, until the block ends.

    What it did not come to, or failed of, is left to :func:`app.mouths.study.study_frames`.
    """

    def __init__(self, frames: Frames, layout: FrameLayout, fps: float, expected: int) -> None:
        """Frames from the number ``expected`` on are passed over."""
        self.notes = Notes(expected, cover_every(fps))
        """What was found; complete when the block has ended."""
        self._looker = Looker(layout, frames)
        self._buffer = np.empty(layout.frame_bytes, np.uint8)
        self._pool = ThreadPoolExecutor(1, "study-ahead")
        self._room = Semaphore(_MOST_WAITING)

    def take(self, index: int, landmarks: FaceLandmarks, mesh: FaceMeshPoints) -> None:
        """Have a frame studied that is in the file, whose face is settled."""
        if index < len(self.notes) and self._room.acquire(blocking=False):
            self._pool.submit(self._study, index, landmarks, mesh)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _study(self, index: int, landmarks: FaceLandmarks, mesh: FaceMeshPoints) -> None:
        self._room.release()
        try:
            self._look(index, landmarks, mesh)
        except Exception as error:
            log.warning("not_studied_ahead", frame=index, error=repr(error))

    def _look(self, index: int, landmarks: FaceLandmarks, mesh: FaceMeshPoints) -> None:
        face = self._looker.face(index, self._buffer, landmarks, mesh)
        if face is not None:
            cover = self._looker.cover(face) if self.notes.marks.wants(index) else None
            self.notes.take(index, landmarks, self._looker.look(face), cover)
