"""How long-running work reports progress, and learns that it should stop."""

from collections.abc import Callable
from threading import Lock

Progress = Callable[[int, int], None]
"""Told (frames done, frames in all) now and then; may raise ``JobCanceled`` to stop the work."""

Alive = Callable[[], None]
"""Called during work that has no progress to tell; may raise ``JobCanceled`` to stop it."""


def nothing() -> None:
    """An :data:`Alive` that nobody waits for."""


class Repeated:
    """A :data:`Progress` that can be told the same again while nothing has changed, by any thread."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = 0, 0
        self._lock = Lock()

    def __call__(self, done: int, total: int) -> None:
        """Pass progress on."""
        with self._lock:
            self._last = done, total
            self._progress(done, total)

    def again(self) -> None:
        """Tell what was told last: an :data:`Alive`."""
        with self._lock:
            self._progress(*self._last)
