"""Mouths that the footage lends: laid, bent and lit by the score, their inside drawn where it never shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from math import exp
from time import perf_counter
from typing import Final

import numpy as np

from app.avatars.avatar import Avatar
from app.faces.types import FaceLandmarks
from app.media.frame_file import RecentFrames
from app.media.frames import I420Frame
from app.media.timing import Segment
from app.mouths.bending import place
from app.mouths.covers import FaceCover
from app.mouths.ear import SpeechShares
from app.mouths.looks import Skin
from app.mouths.model import MouthModel
from app.mouths.seam import seam_of
from app.mouths.shown import NOTHING_SHOWN, ShownInside, shown_inside
from app.mouths.space import COMPONENTS, OPENING
from app.mouths.tooth_rows import between_teeth
from app.mouths.types import Flags, Numbers
from app.progress import Alive
from app.rendering.chins import Chin
from app.rendering.laying import Layer
from app.rendering.mouths import MouthRun
from app.rendering.sampling import Lent, Opened
from app.rendering.score import Score, ScoreBook
from app.rendering.stages import StageSeconds
from app.rendering.stillness import Still
from app.rendering.weights import Weights

MOST_BENT: Final = 1.4
"""Most that a lender is bent by, in deviations of each component: more of it stretches lips visibly. On 12
halves of people in training 0.63 of the opening was followed with 1.6, 0.58 with 1.2 and 0.7 of what lacks;
with 1.6 teeth were seen bent."""

BENT_MORE: Final = 1.4
"""By how much more than it lacks an opening is bent: a spline that gives way at its points, and looks that do
not quite follow, leave two thirds of it. On 10 halves of people in training, with 1, 1.4 and 1.8: 0.59, 0.61
and 0.61 of the opening are followed, and its spread is 0.91, 1.00 and 1.10 of the true one."""

WIDER: Final = 0.05
"""Most that lips which show the inside of their mouth part further, in distances of the inner eyes: what they
show is stretched, and a strip of drawn shade below somebody's own teeth would look like a rim."""

_SQUARE: Final = float(OPENING @ OPENING)
"""By this an opening is divided for the components that make it up, in the proportions of :data:`OPENING`."""

WIDER_OPEN: Final = 0.03
"""Opening, in distances of the inner eyes, by which a frame's own mouth has to be further open than its
lender's for its chin to be looked for: else no jaw is left below the one that is laid."""

_KEPT: Final = 16
"""Frames, or takes, of which is kept what was seen in them, for the next frame's sake."""


@dataclass(frozen=True)
class ChosenMouths:
    """Mouths by score."""

    avatar: Avatar
    weights: Weights
    scores: ScoreBook

    @cached_property
    def still(self) -> Callable[[int], Still | None]:
        """What stands still in a take, by its number: worked out once, whichever runs show it."""
        return lru_cache(_KEPT)(partial(_still, self.avatar))

    @property
    def leaning(self) -> bool:
        """See :class:`Mouths`."""
        return True

    @property
    def batch_size(self) -> int:
        """Frames that are made together."""
        return MouthModel.batch_size

    def over(self, indices: Sequence[int], seconds: StageSeconds, alive: Alive) -> MouthRun:
        """Return what lays the mouths of result frames ``indices``."""
        return _ChosenRun(self, seconds, alive)

    def kinds(self, segment: Segment) -> tuple[Flags, Flags]:
        """See :class:`Mouths`."""
        if not self._changed(segment).any():
            return np.zeros(segment.frame_count, np.bool_), np.zeros(segment.frame_count, np.bool_)
        score, _ = self.scores.row(segment.first_frame)
        shown = score.lenders >= 0
        return shown & ~score.drawn, shown & score.drawn

    def speech(self, segment: Segment) -> SpeechShares:
        """See :class:`Mouths`."""
        changed = self._changed(segment)
        if not changed.any():
            return np.ones(segment.frame_count, np.float32)
        return np.where(changed, self.scores.row(segment.first_frame)[0].speech, np.float32(1))

    def _changed(self, segment: Segment) -> Flags:
        """Return whose mouths of a segment are changed: if no one's is, nobody has to choose for it."""
        indices = range(segment.first_frame, segment.first_frame + segment.frame_count)
        return self.weights.of(indices) > 0


class _ChosenRun:
    def __init__(self, mouths: ChosenMouths, seconds: StageSeconds, alive: Alive) -> None:
        self._mouths, self._seconds, self._alive = mouths, seconds, alive
        self._avatar = mouths.avatar
        self._person = mouths.avatar.person
        self._layer = Layer(mouths.avatar.layout)
        self._frames = RecentFrames(mouths.avatar.frames, mouths.avatar.layout.frame_bytes)
        self._look = lru_cache(_KEPT)(partial(_look, mouths.avatar, self._frames))
        self._cover = lru_cache(_KEPT)(partial(_cover, mouths.avatar))
        self._chin = lru_cache(_KEPT)(partial(_chin, mouths.avatar, self._frames))
        self._teeth = lru_cache(_KEPT)(partial(_teeth, mouths.avatar, self._frames))

    def put(self, frames: list[I420Frame], indices: Sequence[int], sources: list[int]) -> None:
        started = perf_counter()
        weights = self._mouths.weights.of(indices)
        changed = np.flatnonzero(weights > 0).tolist()
        rows = [self._mouths.scores.row(indices[at], self._alive) for at in changed]
        listened = perf_counter()
        self._seconds.listen += listened - started
        for at, (score, row) in zip(changed, rows, strict=True):
            self._alive()
            if score.lenders[row] < 0:
                continue
            source = sources[at]
            lent = self._lent(score, row, source)
            box, landmarks = self._avatar.boxes[source], self._avatar.landmarks[source]
            still = self._mouths.still(int(self._person.study.takes[source]))
            weight, cover = float(weights[at]), self._cover(source)
            lag = self._lag(frames[at], source, int(score.lenders[row]))
            self._layer.lay(frames[at], box, landmarks, lent, weight, cover, still, lag)
        self._seconds.composite += perf_counter() - listened

    def _lag(self, frame: I420Frame, source: int, lender: int) -> float:
        """Return by how much the chin of a frame lies further below its lender's than meshes say, pixels."""
        openings = self._person.openings
        if openings[source] < openings[lender] + WIDER_OPEN:
            return 0.0
        own = Chin.of(self._avatar.layout, frame, self._avatar.landmarks[source])
        return own.lag(self._chin(lender))

    def _lent(self, score: Score, row: int, source: int) -> Lent:
        lender, wanted, drawn = int(score.lenders[row]), score.wanted[row], bool(score.drawn[row])
        lack = wanted[:COMPONENTS].astype(np.float64) - self._person.shapes[lender, :COMPONENTS]
        if not drawn:
            lack = lack.clip(-MOST_BENT, MOST_BENT)
            lack += (BENT_MORE - 1) * (lack @ OPENING) / _SQUARE * OPENING
        look = self._look(lender) if drawn else None
        if look is not None:
            lack -= look.shown.kept * _too_wide(lack) * OPENING / _SQUARE
        return Lent(
            frame=self._frames[lender],
            placing=place(
                self._person, self._avatar.landmarks, source, lender, lack, look.mesh if look else None
            ),
            opened=Opened(look.skin, wanted[COMPONENTS:], look.shown) if look else None,
            cover=self._cover(lender),
            teeth=self._teeth(lender),
        )


def _cover(avatar: Avatar, frame: int) -> FaceCover | None:
    """Return what lies before the face of a frame of the footage."""
    landmarks = avatar.landmarks[frame]
    marks = avatar.person.cover(frame, landmarks)
    return None if marks is None else FaceCover.of(marks, landmarks)


def _still(avatar: Avatar, take: int) -> Still | None:
    """Return what stands still in a take; None if nobody can tell."""
    shot = np.flatnonzero(avatar.person.study.takes == take)
    return Still.of(avatar.layout, avatar.frames, shot, avatar.landmarks)


def _chin(avatar: Avatar, frames: RecentFrames, lender: int) -> Chin:
    """Return what the chin of a lender looks like."""
    return Chin.of(avatar.layout, frames[lender], avatar.landmarks[lender])


def _teeth(avatar: Avatar, frames: RecentFrames, lender: int) -> Numbers:
    """Return where the rows of a lender's teeth part."""
    return between_teeth(avatar.layout, frames[lender], avatar.person.study.meshes[lender, :, :2])


def _look(avatar: Avatar, frames: RecentFrames, lender: int) -> "_Drawn":
    """Return what has to be known of a lender whose inside is drawn."""
    layout, study, frame = avatar.layout, avatar.person.study, frames[lender]
    mesh, skin = study.meshes[lender, :, :2], study.skin[lender]
    if avatar.person.shut(lender):
        return _Drawn(seam_of(layout.planes(frame)[0], mesh), skin, NOTHING_SHOWN)
    return _Drawn(mesh, skin, shown_inside(layout, frame, mesh, skin))


def _too_wide(lack: Numbers) -> float:
    """Return by how much lips would part further than by :data:`WIDER`, which is neared softly."""
    wider = max(float(lack @ OPENING), 0.0)
    return wider - WIDER * (1 - exp(-wider / WIDER))


@dataclass(frozen=True)
class _Drawn:
    """What is known of a lender whose inside is drawn."""

    mesh: FaceLandmarks
    """Lips that are shut meet where they are seen to."""
    skin: Skin
    shown: ShownInside
