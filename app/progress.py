"""How long work tells that it goes on, and learns that it shall not."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told (frames done, frames in all) now and then; may raise ``JobCanceled`` to stop the work."""

Alive = Callable[[], None]
"""Called during work that has no progress to tell; may raise ``JobCanceled`` to stop it."""
