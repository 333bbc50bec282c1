"""Mouths that the footage lends: laid, bent and lit by the score; painted where there is none to lend."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from app.avatars.avatar import Avatar
from app.avatars.crops import cut_face
from app.media.frames import I420Frame
from app.mouths.bending import Placing, place
from app.mouths.painter import FACE_SIZE, Painter, Strokes
from app.mouths.space import COMPONENTS
from app.rendering.laying import Layer
from app.rendering.mouths import MouthRun
from app.rendering.sampling import Lent, Stroke
from app.rendering.score import FADED, Score, ScoreBook
from app.rendering.stages import StageSeconds
from app.rendering.timeline import Timeline

MouthShape = npt.NDArray[np.float32]
"""float32 (8,): one of :data:`app.mouths.space.MouthShapes`."""

BATCH: Final = 8

MOST_BENT: Final = 1.4
"""Most that a lender is bent by, in deviations of each component: more of it stretches lips visibly. On 12
halves of people in training 0.63 of the opening was followed with 1.6, 0.58 with 1.2 and 0.7 of what lacks;
with 1.6 teeth were seen bent."""

_FRAMES_BYTES: Final = 64 << 20
"""Lenders' frames that are kept for the next frame's sake."""

SAME_LIGHT: Final = 0.03
MOST_GAIN: Final = 1.6
"""Ratio of two skins' brightness, less 1, up to which none is applied; and the largest that is."""


@dataclass(frozen=True)
class ChosenMouths:
    """Mouths by score."""

    avatar: Avatar
    timeline: Timeline
    scores: ScoreBook
    painter: Painter
    turn: Lock = field(default_factory=Lock)
    """Held while the painter works: one thread at a time may call it."""

    @property
    def batch_size(self) -> int:
        """Frames that are made together."""
        return BATCH

    def over(self, indices: Sequence[int], seconds: StageSeconds) -> MouthRun:
        """Return what lays the mouths of result frames ``indices``."""
        return _ChosenRun(self, seconds)


class _ChosenRun:
    def __init__(self, mouths: ChosenMouths, seconds: StageSeconds) -> None:
        self._mouths, self._seconds = mouths, seconds
        self._avatar = mouths.avatar
        self._person = mouths.avatar.person
        self._layer = Layer(mouths.avatar.layout)
        self._frames = _Frames(mouths.avatar)

    def put(self, frames: list[I420Frame], indices: Sequence[int], sources: list[int]) -> None:
        started = perf_counter()
        rows = [self._mouths.scores.row(index) for index in indices]
        listened = perf_counter()
        self._seconds.listen += listened - started
        weights = self._person.weights[sources] * self._mouths.timeline.mouth_weights(indices)
        shown = [weights[k] > 0 and score.lenders[row] >= 0 for k, (score, row) in enumerate(rows)]
        painted = [k for k, (score, row) in enumerate(rows) if shown[k] and score.painted[row]]
        strokes = dict(zip(painted, self._paint(painted, rows, sources), strict=True))
        drawn = perf_counter()
        self._seconds.model += drawn - listened
        for k, (frame, source, (score, row)) in enumerate(zip(frames, sources, rows, strict=True)):
            if not shown[k]:
                continue
            lent = self._lent(score, row, source, strokes.get(k))
            box, landmarks = self._avatar.boxes[source], self._avatar.landmarks[source]
            gain = self._gain(source, int(score.lenders[row]))
            cover = self._person.study.covers.of(source)
            self._layer.lay(frame, box, landmarks, lent, float(weights[k]), gain, cover)
        self._seconds.composite += perf_counter() - drawn

    def _lent(self, score: Score, row: int, source: int, stroke: Stroke | None) -> list[Lent]:
        lender, partner = int(score.lenders[row]), int(score.partners[row])
        wanted = score.wanted[row]
        own = 1.0 if partner < 0 else 1 - FADED
        lent = [self._lend(source, lender, wanted, own, stroke)]
        if partner >= 0:
            lent.append(self._lend(source, partner, wanted, FADED))
        return lent

    def _lend(
        self, source: int, lender: int, wanted: MouthShape, share: float, stroke: Stroke | None = None
    ) -> Lent:
        return Lent(
            frame=self._frames[lender],
            placing=self._placing(source, lender, wanted, stroke),
            share=share,
            stroke=stroke,
            cover=self._person.study.covers.of(lender),
            landmarks=self._avatar.landmarks[lender],
        )

    def _placing(self, source: int, lender: int, wanted: MouthShape, stroke: Stroke | None) -> Placing:
        lack = wanted[:COMPONENTS].astype(np.float64) - self._person.shapes[lender, :COMPONENTS]
        if stroke is None:
            lack = np.clip(lack, -MOST_BENT, MOST_BENT)
        return place(self._person, self._avatar.landmarks, source, lender, lack)

    def _paint(self, places: list[int], rows: list[tuple[Score, int]], sources: list[int]) -> list[Stroke]:
        """Return what is painted onto the lenders of the frames at ``places`` of the batch."""
        if not places:
            return []
        shapes, crops, references = [], [], []
        for k in places:
            score, row = rows[k]
            lender, source = int(score.lenders[row]), sources[k]
            own = self._person.shapes[lender]
            shapes.append(np.concatenate([score.wanted[row] - own, own]))
            box, landmarks = self._avatar.boxes[source], self._avatar.landmarks
            layout = self._avatar.layout
            crops.append(cut_face(layout, self._frames[source], box, FACE_SIZE))
            head = place(self._person, landmarks, source, lender, np.zeros(COMPONENTS)).head
            references.append(cut_face(layout, self._frames[lender], box, FACE_SIZE, head))
        with self._mouths.turn:
            made = self._mouths.painter.paint(
                np.array(shapes, np.float32), np.stack(crops), np.stack(references)
            )
        return _each(made)

    def _gain(self, frame: int, lender: int) -> float:
        skin = self._person.study.skin[:, :3].mean(axis=1)
        ratio = float(skin[frame] / max(skin[lender], 1.0))
        if abs(ratio - 1) < SAME_LIGHT:
            return 1.0
        return min(max(ratio, 1 / MOST_GAIN), MOST_GAIN)


def _each(strokes: Strokes) -> list[Stroke]:
    return [
        Stroke(flow, shown[0], added)
        for flow, shown, added in zip(strokes.flow, strokes.shown, strokes.added, strict=True)
    ]


class _Frames:
    """The last frames that were lent, whole."""

    def __init__(self, avatar: Avatar) -> None:
        self._avatar = avatar
        self._most = max(2, _FRAMES_BYTES // avatar.layout.frame_bytes)
        self._kept: OrderedDict[int, I420Frame] = OrderedDict()

    def __getitem__(self, index: int) -> I420Frame:
        frame = self._kept.pop(index, None)
        if frame is None:
            frame = (
                self._kept.popitem(last=False)[1]
                if len(self._kept) >= self._most
                else np.empty(self._avatar.layout.frame_bytes, np.uint8)
            )
            self._avatar.frames.read_into(index, frame)
        self._kept[index] = frame
        return frame
