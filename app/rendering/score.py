"""The score of a segment: which frame lends its mouth to each frame, and the shape it should have.

It depends only on the avatar, the sound and the plan, and every segment has its own. Where two segments
meet, the lender of the frame between them is chosen from the few frames about it, on which both agree. So
segments can be made in any order and by several processes.
"""

from collections import OrderedDict
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import IO, Final, Self

import numpy as np

from app.faces.types import runs_of
from app.media.files import replacing
from app.media.timing import Segment
from app.mouths.choice import Chooser, FrameNumbers, Lenders, Steps
from app.mouths.ear import SpeechShares
from app.mouths.person import Person
from app.mouths.resting import RestLenders
from app.mouths.space import COMPONENTS, OPENING, MouthShapes
from app.mouths.types import Flags, Numbers
from app.progress import Alive, nothing
from app.rendering.timeline import Timeline
from app.rendering.wanted import Wanted

CHANGE_SECONDS, SHUT = 0.3, 0.03
"""Mouths that are lent look unlike those that are drawn. Within a take more are drawn, for so long at most,
so that a change comes where the mouth opens by so little, in distances of the inner eyes, or the least."""

PINNED_SECONDS: Final = 0.35
"""How much on either side says who lends where two segments meet, and whether the inside is drawn: the best
lender for one frame alone may be the only one that shows teeth."""


@dataclass(frozen=True)
class Score:
    """One segment's score; a row for every frame of it."""

    lenders: Lenders
    """-1 for a frame without a face."""
    wanted: MouthShapes
    drawn: Flags
    """Whether the lender only rests, and the inside of its mouth is drawn."""
    speech: SpeechShares

    def __len__(self) -> int:
        return len(self.lenders)

    def save(self, file: IO[bytes], key: str) -> None:
        """Write the score and what it is the score of."""
        np.savez(file, key=np.array(key), **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path, key: str, frames: int) -> Self | None:
        """Read a score of ``key``; None if there is none, or it is damaged or of something else."""
        try:
            with path.open("rb") as file, np.load(file) as stored:
                score = cls(**{f.name: stored[f.name] for f in fields(cls)})
                return score if str(stored["key"]) == key and len(score) == frames else None
        except Exception:  # zipfile and numpy raise a dozen kinds; whatever is wrong, it can be made again
            return None


class Scorer:
    """Makes the scores of one render."""

    def __init__(self, person: Person, wanted: Wanted, timeline: Timeline, strength: float = 1.0) -> None:
        """``strength`` multiplies how far the mouth leaves its rest."""
        self._person, self._wanted = person, wanted
        self._timeline, self._strength = timeline, strength
        self._beside = round(PINNED_SECONDS * timeline.fps)
        self._change = round(CHANGE_SECONDS * timeline.fps)

    @cached_property
    def _chooser(self) -> Chooser:
        """Chooses among frames in which the person talks; takes 6 KB a frame of the footage."""
        return Chooser(self._person, rate=float(self._timeline.fps))

    @cached_property
    def _resting(self) -> RestLenders:
        """Chooses resting mouths for frames whose inside is drawn; takes as much, once for both."""
        return RestLenders(self._person)

    def score(self, segment: Segment, alive: Alive = nothing) -> Score:
        """Return the score of a segment; ``alive`` is called meanwhile."""
        first, stop = segment.first_frame, segment.first_frame + segment.frame_count
        begin = max(0, first - self._beside)
        frames = self._frames(begin, min(self._timeline.frame_count, stop + self._beside + 1), alive)
        joins = [
            (join, self._pin(frames, join - begin, alive))
            for join, inner in ((first, first > 0), (stop, not segment.last))
            if inner
        ]
        own = frames[first - begin : stop + (not segment.last) - begin]
        lenders = self._chosen(own, {join - first: lender for join, lender in joins}, alive)
        if own.drawn.any():
            lenders[own.drawn] = self._resting.of(own.shown[own.drawn], alive)
        count = segment.frame_count
        return Score(lenders[:count], own.wanted[:count], own.drawn[:count], own.speech[:count])

    def _frames(self, begin: int, end: int, alive: Alive) -> "_Frames":
        """Return what is known of result frames ``begin`` to ``end``, whichever others are asked for."""
        silent = self._person.silent
        more = 2 * self._change if silent.any() and not silent.all() else 0  # which may change what is drawn
        indices = range(max(0, begin - more), min(self._timeline.frame_count, end + more))
        shown = np.array([self._timeline.avatar_frame(index) for index in indices], np.int32)
        asked = self._wanted.ask(indices, alive)
        wanted = asked.shapes * np.float32(self._strength)
        drawn = self._drawn(wanted, shown)
        _open(wanted, drawn & ~silent[shown])
        wanted[drawn] += asked.rest[drawn] * np.float32(min(self._strength, 1.0))
        steps = np.append(self._timeline.steps(indices), 1)
        frames = _Frames(wanted, asked.speech, shown, drawn, steps)
        return frames[begin - indices.start : end - indices.start]

    def _drawn(self, wanted: MouthShapes, shown: FrameNumbers) -> Flags:
        """Tell which insides are drawn: where nobody lends an open mouth, and on until it shuts."""
        drawn, takes = self._person.silent[shown], self._person.study.takes[shown]
        openings = np.maximum(wanted[:, :COMPONENTS] @ OPENING, SHUT)
        for order in (slice(None), slice(None, None, -1)):
            _wait(drawn[order], takes[order], openings[order], self._change)
        return drawn

    def _pin(self, frames: "_Frames", place: int, alive: Alive) -> int:
        """Return the lender of a frame where two segments meet, from those about it alone; -1 without."""
        start = max(0, place - self._beside)
        about = frames[start : place + self._beside + 1]
        for first, stop in self._lent(about):
            if first <= place - start < stop:
                return int(self._chosen(about[first:stop], {}, alive)[place - start - first])
        return -1

    def _lent(self, frames: "_Frames") -> list[tuple[int, int]]:
        """Return where mouths are lent: frames that have a face and whose inside is not drawn, run by run."""
        return runs_of((self._person.study.takes[frames.shown] >= 0) & ~frames.drawn)

    def _chosen(self, frames: "_Frames", pins: dict[int, int], alive: Alive) -> Lenders:
        """Choose lenders for each run of frames by itself, -1 elsewhere.

        ``pins`` are lenders that are known, by place, at either end.
        """
        lenders = np.full(len(frames.shown), -1, np.int32)
        for start, stop in self._lent(frames):
            run = frames[start:stop]
            ends = pins.get(start), pins.get(stop - 1)
            lenders[start:stop] = self._chooser.choose(
                run.wanted, run.shown, run.speech, run.steps[:-1], ends, alive
            )
        return lenders


def _open(wanted: MouthShapes, rows: Flags) -> None:
    """Let mouths close no further than they rest: those that rest already are drawn with lips that meet."""
    lacking = np.maximum(-(wanted[:, :COMPONENTS] @ OPENING), 0) * rows
    wanted[:, :COMPONENTS] += lacking[:, None] * OPENING / (OPENING @ OPENING)


def _wait(drawn: Flags, takes: FrameNumbers, openings: Numbers, most: int) -> None:
    """Put off, by ``most`` frames, that what was drawn is no more, to where the mouth opens the least."""
    for change in (np.flatnonzero(drawn[:-1] & ~drawn[1:]) + 1).tolist():
        ahead = slice(change, change + most)
        other = drawn[ahead] | (takes[ahead] != takes[change - 1])
        until = other.argmax() if other.any() else len(other)
        if until:
            drawn[change : change + int(openings[ahead][:until].argmin())] = True


@dataclass(frozen=True)
class _Frames:
    """What lenders are chosen for; a row for every frame."""

    wanted: MouthShapes
    speech: SpeechShares
    shown: FrameNumbers
    drawn: Flags
    steps: Steps
    """To the next frame."""

    def __getitem__(self, rows: slice) -> "_Frames":
        return _Frames(
            self.wanted[rows], self.speech[rows], self.shown[rows], self.drawn[rows], self.steps[rows]
        )


class ScoreBook:
    """The scores of a render's segments, each made once and kept beside the fragments."""

    def __init__(self, scorer: Scorer, segments: list[Segment], folder: Path, key: str) -> None:
        """``key`` says of what the scores are: another plan's or another sound's are made again."""
        self._scorer, self._segments, self._folder, self._key = scorer, segments, folder, key
        self._starts = np.array([segment.first_frame for segment in segments])
        self._open: OrderedDict[int, Score] = OrderedDict()
        self._lock = Lock()

    def row(self, frame: int, alive: Alive = nothing) -> tuple[Score, int]:
        """Return the score in which a frame of the result stands, and its row there.

        ``alive`` is called while one is made.
        """
        place = int(np.searchsorted(self._starts, frame, side="right")) - 1
        with self._lock:
            if place not in self._open:
                self._open[place] = self._score(self._segments[place], alive)
                if len(self._open) > _OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(place)
            return self._open[place], frame - int(self._starts[place])

    def _score(self, segment: Segment, alive: Alive) -> Score:
        path = self._folder / f"{segment.index:05d}.score"
        score = Score.load(path, self._key, segment.frame_count)
        if score is None:
            score = self._scorer.score(segment, alive)
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=False) as temporary, temporary.open("wb") as file:
                score.save(file, self._key)
        return score


_OPEN: Final = 64
"""Scores in memory, the last that were asked for: encoders that work at once are at different segments. One
of ten seconds has 10 kB."""
