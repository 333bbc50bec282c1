"""Faces that are settled while they are still followed: what comes will not move them any more."""

from collections.abc import Callable
from typing import Final

import numpy as np

from app.faces.face_mesh import POINTS
from app.faces.following import Run
from app.faces.geometry import extent
from app.faces.smoothing import fill_gaps, reach_of, smooth
from app.faces.types import FaceChoice, FaceLandmarks, FaceMeshPoints

Settled = Callable[[int, FaceLandmarks, FaceMeshPoints], None]
"""Told the number of a frame, where its landmarks will most likely be, and its mesh."""

_AT_ONCE: Final = 16
"""Frames that are smoothed together."""


class Settling:
    """Tells of the frames of the face that will most likely be chosen, each once, in order.

    What is told is a guess, and rarely wrong: it remains to be compared with the track.
    """

    def __init__(self, choice: FaceChoice, window: float, settled: Settled) -> None:
        """``window`` is the smoothing of landmarks, in frames."""
        self._choice = choice
        self._window = window
        self._reach = max(1, reach_of(window))
        self._settled = settled
        self._next = 0

    def take(self, active: list[Run]) -> None:
        """Look at the faces that are in sight after another frame."""
        run = self._leading(active)
        if run is None:
            return
        first = max(self._next, run.sightings[0].frame)
        stop = run.last.frame + 1 - self._reach
        if stop - first >= _AT_ONCE:
            self._next = stop
            self._tell(run, first, stop)

    def _leading(self, active: list[Run]) -> Run | None:
        if len(active) == 1:
            return active[0]
        if not active or self._choice.position is not None:
            return None
        return max(active, key=lambda run: len(run.sightings) * extent(run.last.box) ** 2)

    def _tell(self, run: Run, first: int, stop: int) -> None:
        begin = max(first - self._reach, run.sightings[0].frame)
        near = [each for each in run.sightings[begin - run.last.frame - 1 :] if each.frame >= begin]
        points = np.full((run.last.frame + 1 - begin, POINTS * 2), np.nan)
        points[[each.frame - begin for each in near]] = [each.fit.landmarks.ravel() for each in near]
        smoothed = smooth(fill_gaps(points), self._window).astype(np.float32).reshape(-1, POINTS, 2)
        for each in near:
            if first <= each.frame < stop:
                self._settled(each.frame, smoothed[each.frame - begin], each.fit.mesh)
