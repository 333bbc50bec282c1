"""What is marked before a face while its footage is studied: where nothing is unusual, frames are skipped."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from app.faces.agreed import Marking
from app.faces.hidden import CROP_SIZE, STILL_HIDDEN, alignment, in_crop, lips_hidden
from app.faces.types import Landmarks
from app.mouths.covers import NOTED, Usual, beyond, lower_face_share, pack, unpack
from app.mouths.usual import of_the_face

_USUAL_FRAMES: Final = 60
COVER_SECONDS: Final = 0.11
"""Between the frames at which covers are looked for first: nothing comes before a mouth and goes again
meanwhile. That is every third frame at 24 to 30 a second, and every one at less than 13."""
_CLEAR: Final = 0.04
"""Share of the lips, beyond what is usual, up to which nothing is before them."""
NOTHING: Final = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)


def cover_every(fps: float) -> int:
    """Return at every how many frames of ``fps`` a second covers are looked for first: 1 or more."""
    return max(1, round(COVER_SECONDS * fps))


@dataclass(frozen=True)
class Marked:
    """What is marked before the face of one frame."""

    marks: Marking
    suspects: Marking
    """What may be before it: the marks, and what else one network alone finds."""
    lips: float
    """Share of the lips that it hides, 0..1."""
    luma: npt.NDArray[np.uint8]
    """uint8 (96, 96): the aligned crop, grey."""


class Kept(MutableMapping[int, Marking]):
    """Marks (96, 96) of frames, packed: those of ten minutes would take up to 138 MB."""

    def __init__(self) -> None:
        self._packed: dict[int, bytes] = {}

    def __getitem__(self, index: int) -> Marking:
        return unpack(self._packed[index])

    def __setitem__(self, index: int, marks: Marking) -> None:
        self._packed[index] = pack(marks)

    def __delitem__(self, index: int) -> None:
        del self._packed[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


class Marks:
    """What was marked before the face: of doubtful frames each, and of a few in general what is usual."""

    def __init__(self, count: int, every: int) -> None:
        """``every`` is that of :func:`cover_every`."""
        self._every = every
        self._step = every * max(1, count // (every * _USUAL_FRAMES))
        self._sample: dict[int, Marked] = {}
        self.lips = np.full(count, np.nan, np.float32)
        """Share of the lips that is hidden in each frame; nan without a face."""
        self.kept, self.suspects = Kept(), Kept()
        """:attr:`Marked.marks` and :attr:`Marked.suspects` of the frames that have more than a little."""

    def take(self, index: int, cover: Marked) -> None:
        """Take what was found in a frame."""
        self.lips[index] = cover.lips
        if index % self._step == 0:
            self._sample[index] = cover
        for kept, marks in ((self.kept, cover.marks), (self.suspects, cover.suspects)):
            if lower_face_share(marks) >= NOTED:
                kept[index] = marks

    def wants(self, index: int) -> bool:
        """Tell whether a frame is among those that are looked at first, and has yet to be."""
        if index % self._every:
            return False
        return bool(np.isnan(self.lips[index])) or (index % self._step == 0 and index not in self._sample)

    def of(self, same: npt.NDArray[np.bool_]) -> Self:
        """Make of these the marks of a whole video, of frames that are the ``same`` (n,) as when taken."""
        marks, common = type(self)(len(same), self._every), min(len(same), len(self.lips))
        marks.lips[:common] = np.where(same[:common], self.lips[:common], np.nan)
        marks.kept, marks.suspects = self.kept, self.suspects
        for kept in (marks.kept, marks.suspects):
            for index in list(kept):
                if index >= common or not same[index]:
                    del kept[index]
        for index, sampled in self._sample.items():
            if index < common and same[index] and index % marks._step == 0:
                marks._sample[index] = sampled
        return marks

    def doubtful(self, takes: npt.NDArray[np.int32], found: npt.NDArray[np.bool_], usual: Usual) -> list[int]:
        """Return the frames that have yet to be looked at.

        Between two of a take that hide no more than is usual, and as much as each other, nothing comes.
        """
        rest = np.flatnonzero(found & np.isnan(self.lips))
        before = rest - rest % self._every
        after = np.minimum(before + self._every, len(takes) - 1)
        same = (takes[before] == takes[rest]) & (takes[after] == takes[rest])
        same &= np.abs(self.lips[before] - self.lips[after]) < STILL_HIDDEN
        as_usual = self._as_usual(usual)
        clear = same & as_usual[before] & as_usual[after]
        self.lips[rest[clear]] = np.maximum(self.lips[before[clear]], self.lips[after[clear]])
        doubtful: list[int] = rest[~clear].tolist()
        return doubtful

    def _as_usual(self, usual: Usual) -> npt.NDArray[np.bool_]:
        """Tell in which of the frames that were looked at no more is hidden than is usual."""
        seen = np.isfinite(self.lips)
        as_usual = seen & (self.lips - np.median(self.lips[seen]) < _CLEAR) if seen.any() else seen
        for index, suspects in self.suspects.items():
            as_usual[index] &= lower_face_share(beyond(suspects, usual.suspects)) < NOTED
        return as_usual

    def usual(self, landmarks: Landmarks) -> Usual:
        """Return what is marked in most frames; ``landmarks`` (n, 468, 2) are those of the frames."""
        if not self._sample:
            return Usual(NOTHING, NOTHING, 0.0)
        sample = self._sample.values()
        marked, suspected = (
            np.median(each, axis=0).astype(np.uint8)
            for each in ([one.marks for one in sample], [one.suspects for one in sample])
        )
        points = np.array([in_crop(alignment(landmarks[index]), landmarks[index]) for index in self._sample])
        lumas = np.array([each.luma for each in sample])
        face = of_the_face(marked, lumas, points)
        lips = lips_hidden(beyond(marked, face), np.median(points, axis=0))
        return Usual(face, of_the_face(suspected, lumas, points), lips)
