"""Tracking every face of a video, frame by frame, in one pass."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from app.faces.boxes import box_of_landmarks
from app.faces.cuts import CutDetector, Flash
from app.faces.detector import FaceDetector
from app.faces.face_mesh import FaceMesh, MeshFit
from app.faces.geometry import distance, extent, is_large, same_place
from app.faces.regions import Region, region_of_detection
from app.faces.types import Detection, ExactBox
from app.media.frames import FrameLayout, I420Frame

MAX_FACES: Final = 10
"""Faces followed at once, as many as a position can name; of more, the largest."""

GAP_SECONDS: Final = 0.12
"""For which a face may be out of sight and still count as there; one frame, at any rate."""

SEARCH_SECONDS: Final = 0.5
"""How often the whole frame is searched for new faces."""

NEAR, NEAR_RATIO = 0.6, 1.8
"""A detection belongs to a face followed if it is at most this far from it, in face sizes, and their sizes
differ by no more than this factor: detectors draw their boxes each in its own way."""

IDLE_SECONDS, GLANCE_SECONDS = 1.0, 0.2
"""When no face has been in sight for the first of these times, one frame in each of the second is searched,
and the others only when that one shows a face: most of the work on footage without a face was in vain."""

PATIENCE: Final = 0.1
"""The longer no face has been in sight, the rarer are thorough searches: one after this share of that time,
though never more than four times as rare as otherwise."""

_PASSED_BYTES: Final = 64 << 20
"""Frames that are kept meanwhile."""

ASIDE: Final = 0.08
"""How far a face may move, in sides of the region in which it is looked for, without a second look: a mesh
that lies aside in its region is drawn towards the middle."""

SAME_FACE: Final = 0.3
"""Distance of centres, in face sizes, below which two faces followed are one."""


@dataclass(frozen=True)
class Sighting:
    """One face in one frame: its box in Wav2Lip's convention and its mesh."""

    frame: int
    box: ExactBox
    fit: MeshFit


@dataclass
class Run:
    """One face followed without a break (longer than :data:`GAP_SECONDS`) within one shot."""

    shot: int
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def last(self) -> Sighting:
        """Where the face was seen last."""
        return self.sightings[-1]


@dataclass(frozen=True)
class _Passed:
    """A frame that was not searched yet."""

    index: int
    frame: I420Frame
    cut: bool


def most_gap(fps: float) -> int:
    """Return for how many frames of ``fps`` a second a face may be out of sight: see :data:`GAP_SECONDS`."""
    return max(1, round(GAP_SECONDS * fps))


class Follower:
    """Takes the frames in order; keeps a :class:`Run` for each face, and before which frames a cut lies.

    The runs that are ``active`` are those of faces that are in sight.
    """

    def __init__(self, layout: FrameLayout, fps: float, detector: FaceDetector) -> None:
        self._layout = layout
        self._detector = detector
        self._is_cut = CutDetector(layout, fps)
        self._most_gap = most_gap(fps)
        self._search_every = max(1, round(SEARCH_SECONDS * fps))
        self._next_search = 0
        self._shot = 0
        self._idle_after = max(1, round(IDLE_SECONDS * fps))
        self._glance_every = max(1, min(round(GLANCE_SECONDS * fps), _PASSED_BYTES // layout.frame_bytes))
        self._unseen = 0
        self._passed: list[_Passed] = []
        self.active: list[Run] = []
        self.runs: list[Run] = []
        self.cuts: list[bool] = []

    @property
    def flashes(self) -> list[Flash]:
        """Those of :class:`app.faces.cuts.CutDetector`."""
        return self._is_cut.flashes

    @property
    def dissolves(self) -> list[int]:
        """Those of :class:`app.faces.cuts.CutDetector`."""
        return self._is_cut.dissolves

    @cached_property
    def _mesh(self) -> FaceMesh:
        """Waited for when there is a face, so that decoding has begun by then."""
        return FaceMesh()

    def take(self, index: int, frame: I420Frame) -> None:
        """Follow the known faces into frame ``index``, and search for others when it is time."""
        cut = self._is_cut(frame)
        self.cuts.append(cut)
        if self.active or self._unseen < self._idle_after:
            self._follow(index, frame, cut=cut)
            return
        self._passed.append(_Passed(index, frame.copy(), cut))
        if len(self._passed) >= self._glance_every:
            self.end()

    def end(self) -> None:
        """Look at what was passed over, as far as it shows a face; nothing comes after it, or nothing yet."""
        passed, self._passed = self._passed, []
        if not passed:
            return
        if self._shows_face(passed):
            for each in passed:
                if not self.active:
                    self._next_search = each.index  # it may be one that only a thorough search finds
                self._follow(each.index, each.frame, cut=each.cut)
        else:
            self._shot += sum(each.cut for each in passed)
            self._unseen += len(passed)

    def _shows_face(self, passed: "list[_Passed]") -> bool:
        """Search the last of some frames."""
        last = passed[-1]
        thorough = last.index >= self._next_search or any(each.cut for each in passed)
        if thorough:
            every = max(self._search_every, round(PATIENCE * self._unseen))
            self._next_search = last.index + min(every, 4 * self._search_every)
        return bool(self._detector.detect(last.frame, self._layout, thorough=thorough))

    def _follow(self, index: int, frame: I420Frame, *, cut: bool) -> None:
        if cut:
            self._shot += 1
            self._next_search = index
            self.active = []
        self.active = [run for run in self.active if index - run.last.frame <= self._most_gap + 1]
        for run in self.active:
            region = run.last.fit.region
            fit = self._mesh.fit(frame, self._layout, region)
            if fit and _lies_aside(fit.region, region):
                fit = self._mesh.fit(frame, self._layout, fit.region) or fit
            if fit:
                run.sightings.append(_sighting(index, fit))
        self._part_doubles()
        if self._is_missed(index) or index >= self._next_search or self._detector.crops_like_training:
            self._search(index, frame)
        self._unseen = 0 if self.active else self._unseen + 1

    def _search(self, index: int, frame: I420Frame) -> None:
        thorough = index >= self._next_search
        if thorough:
            self._next_search = index + self._search_every
        if any(is_large(run.last.box, self._layout) for run in self.active):
            thorough = False
        for detection in self._detector.detect(frame, self._layout, thorough=thorough):
            self._place(index, frame, detection)
        self.active = sorted(self.active, key=lambda run: -extent(run.last.box))[:MAX_FACES]

    def _place(self, index: int, frame: I420Frame, detection: Detection) -> None:
        """Give a detection to the run that it continues, or start a new one."""
        near = [run for run in self.active if _is_near(run, detection)]
        run = min(near, key=lambda run: distance(run.last.box, detection.box), default=None)
        if run is None or run.last.frame < index:
            sighting = self._look(index, frame, detection)
            if sighting is None:
                return
            if run is None:
                run = Run(self._shot)
                self.active.append(run)
                self.runs.append(run)
            run.sightings.append(sighting)
        if self._detector.crops_like_training:
            run.sightings[-1] = replace(run.last, box=detection.box)

    def _look(self, index: int, frame: I420Frame, detection: Detection) -> Sighting | None:
        """Fit the mesh to a detection, then once more to the region of the mesh, as in following.

        None if no face is there, or one that is in sight already.
        """
        fit = self._mesh.fit(frame, self._layout, region_of_detection(detection))
        fit = fit and self._mesh.fit(frame, self._layout, fit.region)
        if fit is None:
            return None
        sighting = _sighting(index, fit)
        seen = [run.last for run in self.active if run.last.frame == index]
        known = any(distance(sighting.box, other.box) < SAME_FACE for other in seen)
        return None if known else sighting

    def _is_missed(self, index: int) -> bool:
        """Tell whether no face is in sight, or one was lost that the plain search can find again."""
        lost = [run.last.box for run in self.active if run.last.frame < index]
        return len(lost) == len(self.active) or any(is_large(box, self._layout) for box in lost)

    def _part_doubles(self) -> None:
        """End the younger of two runs that have come to follow the same face."""
        kept: list[Run] = []
        for run in sorted(self.active, key=lambda run: run.sightings[0].frame):
            if any(distance(run.last.box, other.last.box) < SAME_FACE for other in kept):
                continue
            kept.append(run)
        self.active = kept


def _is_near(run: Run, detection: Detection) -> bool:
    return same_place(run.last.box, detection.box, within=NEAR, size_ratio=NEAR_RATIO)


def _lies_aside(mesh: Region, region: Region) -> bool:
    return math.hypot(mesh.x - region.x, mesh.y - region.y) > ASIDE * region.side


def _sighting(index: int, fit: MeshFit) -> Sighting:
    return Sighting(index, box_of_landmarks(fit.landmarks), fit)
