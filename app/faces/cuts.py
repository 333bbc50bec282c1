"""Cuts: where one shot of a video ends and the next begins; flashes, which are none; where a face jumps."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.boxes import box_of_landmarks
from app.faces.geometry import UNMOVED, UNMOVED_RATIO, same_place
from app.faces.head import RIGID_POINTS
from app.faces.types import FaceFlags, FaceMeshes
from app.media.frames import FrameLayout, I420Frame

Thumbnail = npt.NDArray[np.float32]
"""float32 (rows, 64): luma of a frame, averaged over areas."""

COLUMNS: Final = 64
MOST_ROWS: Final = 256
"""A second of thumbnails is kept: of a picture two pixels wide they are not to be large."""
_ROWS_SEEN: Final = 8
"""Rows of the frame that are averaged for one of a thumbnail: of more, some are passed over."""

MIN_CHANGE: Final = 18.0
"""Mean difference of luma between two frames, of 255, from which a cut lies between them in any light."""

LEAST_CHANGE, UNLIKE = 3.0, 0.5
"""In the dark, or between two views of one room, frames may differ by that little across a cut if they
correlate by less: of 28 clips with heads and cameras in quick motion the least is 0.63, the cuts in them have
-0.06 to 0.40."""

MIN_CONTRAST: Final = 2.0
"""Deviation of luma, of 255, below which a frame shows nothing that could be unlike another."""

MIN_RATIO: Final = 3.0
"""How many times the usual difference between neighbouring frames a cut's is at least."""

LEARNT: Final = 0.2
"""Share that the latest difference has in the usual one."""

FLASH_SECONDS: Final = 0.15
"""What is over within this time, so that the frame after it is like the one before, was a flash: of a
camera, or of lamps on a stage."""

SAME_VIEW: Final = 0.6
"""How well what a flash shows correlates with what was before it, where it is not overexposed: otherwise it
is a short view of something else. Between the pictures of 11 people that is 0.56 at most; in light that is
added, or doubled to sixfold, 0.69 and more; by a lamp from the side 0.29 and more."""
OVEREXPOSED, LEAST_SHOWN = 225.0, 0.1
"""Luma, of 255, from which nothing is seen, and the share of a frame that must be seen to be of another
view."""

DISSOLVE_SECONDS, DISSOLVED, LEAST_DISSOLVED = 1.0, 0.25, 12.0
"""One shot goes over into another where two pictures so far apart are unlike, differ by the last of these, of
255, and the one between them is a mixture of both, but for the second as a share of what they differ by. In
dissolves of 0.5 to 2 s between six people in training that is 0.03 to 0.19, in 13 clips with fades, flashes,
heads and cameras in quick motion 0.30 and more."""
MIXED: Final = (0.2, 0.8)
"""Share of the second picture in a mixture."""
LIKE_SPREAD: Final = 0.4
"""Share of either picture's deviation that the other one has, at least: of a fade to white it has less."""
MOVED_PARTS, MOVED_RATIO = (2, 4), 2.4
"""Before a backdrop out of focus a camera that pans makes mixtures, too, but there the picture is explained
as well by parts of either, this many down and across, that have moved by up to half of their size. What
motion leaves over (geometric mean of both) is 2.9 times what a mixture leaves, or more, in 98 % of the
pictures of 28 dissolves between people in training; in 595 of pans over blurred noise 2.3 at most."""
_FEWEST: Final = 4
"""Frames in that time, at least, in which mixtures are looked for."""

JUMP, JUMP_RATIO, JUMP_FRAMES = 0.08, 3.0, 2
"""A face jumps that moves from one frame to the next by more than this share of its size, and that many times
as far as in any of so many frames on either side. Cuts within one shot of a talker are of that kind: one that
was found moves by 0.14, 3.4 times as far as around it; heads that nod, shake or turn, at most 2.7 times."""

REPEATED_FRAMES: Final = 6
"""Within so many frames there is another such step, a third as far at least, where a camera gives fewer
pictures than the file has frames: of 10 a second in 30 frames a head in quick motion moves in every third."""


class Flash(NamedTuple):
    """What is over at once, so that what was there before comes back."""

    first: int
    after: int
    """Its first frame and the one after it, before both of which a cut may have been told."""
    lit: bool
    """Whether it may be the same view in another light, and not one of something else."""


@dataclass
class CutDetector:
    """Tells for each frame whether a cut lies before it, and remembers what may have been flashes."""

    layout: FrameLayout
    fps: float
    flashes: list[Flash] = field(default_factory=list)
    dissolves: list[int] = field(default_factory=list)
    """Frames from which on pictures are more of the next shot than of the one before; known a bit later."""
    _count: int = 0
    _usual: float = 0.0
    _last: Thumbnail | None = None
    _before: Thumbnail | None = None
    """What was seen before the latest cut, as long as that may come back."""
    _began: int = 0
    _lit: bool = True
    """Whether all that was seen since then may be the same view in another light."""
    _cut_before: bool = False
    """Whether the latest frame begins another view."""
    _latest: list[Thumbnail] = field(default_factory=list)
    """Those to which a short shot may give way again, without the last one."""
    _recent: list[Thumbnail] = field(default_factory=list)
    """The latest of this shot."""

    def __call__(self, frame: I420Frame) -> bool:
        """Take the next frame; return whether it starts a new shot (the first one does not)."""
        index, last, this = self._count, self._last, self._thumbnail(frame)
        self._count, self._last = index + 1, this
        if last is None:
            return False
        change, other_view = _change(this, last), _alike(this, last) < UNLIKE
        cut = _unlike(this, last) and (
            change > MIN_RATIO * self._usual or (other_view and self._comes_back(this, change))
        )
        self._look_for_dissolve(this, cut=cut)
        self._learn(change, begins=cut and other_view)
        self._latest = [*self._latest[-self._longest_flash :], last]
        self._look_for_flash(this, last, index, cut=cut)
        return cut

    @property
    def _longest_flash(self) -> int:
        return max(1, round(FLASH_SECONDS * self.fps))

    def _comes_back(self, this: Thumbnail, change: float) -> bool:
        """Tell whether a frame is like one of the latest: views take turns, as in no motion of a camera."""
        return any(change > MIN_RATIO * _change(this, other) for other in self._latest)

    def _learn(self, change: float, *, begins: bool) -> None:
        """Learn how much frames usually differ; a single cut to another view says nothing of that.

        Several in a row are a camera in fast motion.
        """
        if not begins or self._cut_before:
            share = 1 - (1 - LEARNT) ** (2 if begins else 1)
            self._usual += share * (change - self._usual)
        self._cut_before = begins

    def _look_for_flash(self, this: Thumbnail, last: Thumbnail, index: int, *, cut: bool) -> None:
        if self._before is None:
            if cut:
                self._before, self._began = last, index
                self._lit = _same_view(this, last)
        elif not _unlike(this, self._before):
            self.flashes.append(Flash(self._began, index, self._lit))
            self._before = None
        elif index - self._began >= self._longest_flash:
            self._before = None
        else:
            self._lit &= _same_view(this, self._before)

    def _look_for_dissolve(self, this: Thumbnail, *, cut: bool) -> None:
        length = round(DISSOLVE_SECONDS * self.fps)
        self._recent = [this] if cut else [*self._recent[-length:], this]
        if length < _FEWEST or len(self._recent) <= length:
            return
        first, middle = self._recent[0], self._recent[length // 2]
        if _change(this, first) < LEAST_DISSOLVED or _alike(this, first) >= UNLIKE:
            return
        least, most = sorted((float(this.std()), float(first.std())))
        if least < LIKE_SPREAD * most:
            return
        share = _share(middle, first, this)
        rest = _change(middle, first + np.float32(share) * (this - first))
        mixture = MIXED[0] < share < MIXED[1] and rest < DISSOLVED * _change(this, first)
        if mixture and _moved(middle, first) * _moved(middle, this) > (MOVED_RATIO * rest) ** 2:
            shares = [_share(each, first, this) for each in self._recent]
            later = next(place for place, each in enumerate(shares) if each >= 0.5)
            self.dissolves.append(self._count - len(self._recent) + later)
            self._recent = [this]

    def _thumbnail(self, frame: I420Frame) -> Thumbnail:
        luma = self.layout.planes(frame)[0]
        rows = round(COLUMNS * self.layout.height / self.layout.width)
        rows = min(max(1, rows), MOST_ROWS)
        seen = luma[:: max(1, self.layout.height // (_ROWS_SEEN * rows))]
        height, width = (max(1, a // b) * b for a, b in zip(seen.shape, (rows, COLUMNS), strict=True))
        part = seen[:height, :width]  # by whole factors averaging takes a twentieth of the time
        return cv2.resize(part, (COLUMNS, rows), interpolation=cv2.INTER_AREA).astype(np.float32)


def _change(one: Thumbnail, other: Thumbnail) -> float:
    return float(np.mean(cv2.absdiff(one, other)))


def _unlike(one: Thumbnail, other: Thumbnail) -> bool:
    """Tell whether a cut may lie between two frames, by what they show alone."""
    change = _change(one, other)
    if change > MIN_CHANGE or change < LEAST_CHANGE:
        return change > MIN_CHANGE
    return _alike(one, other) < UNLIKE


def _alike(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return how two frames, or the same part of them, correlate; 1 if either shows nothing."""
    spread = float(one.std()), float(other.std())
    if min(spread) < MIN_CONTRAST:
        return 1.0
    return float(np.mean((one - one.mean()) * (other - other.mean()))) / (spread[0] * spread[1])


def _same_view(lit: Thumbnail, before: Thumbnail) -> bool:
    """Tell whether a frame may be the same view as that ``before`` in another light."""
    shown = lit < OVEREXPOSED
    return bool(shown.mean() < LEAST_SHOWN or _alike(lit[shown], before[shown]) >= SAME_VIEW)


def _share(frame: Thumbnail, first: Thumbnail, last: Thumbnail) -> float:
    """Return how much of ``last`` is in a frame, if it is a mixture of that with ``first``."""
    difference = last - first
    return float(np.vdot(frame - first, difference) / np.vdot(difference, difference))


def _moved(frame: Thumbnail, other: Thumbnail) -> float:
    """Return by how much ``frame`` differs (RMS) from parts of ``other`` that have moved; MOVED_PARTS."""
    height, width = (max(1, side // parts) for side, parts in zip(frame.shape, MOVED_PARTS, strict=True))
    around = cv2.copyMakeBorder(other, height // 2, height // 2, width // 2, width // 2, cv2.BORDER_REPLICATE)
    left = []
    for top in range(0, frame.shape[0] - height + 1, height):
        for side in range(0, frame.shape[1] - width + 1, width):
            part = frame[top : top + height, side : side + width]
            place = around[top : top + height + height // 2 * 2, side : side + width + width // 2 * 2]
            best = float(cv2.matchTemplate(place, part, cv2.TM_SQDIFF).min())
            left.append(max(best, 0.0) / part.size)
    return float(np.sqrt(np.mean(left)))


def without_flashes(cuts: FaceFlags, flashes: list[Flash], meshes: FaceMeshes) -> FaceFlags:
    """Return ``cuts`` (n,) without those about flashes through which the face stays in its place.

    It need not be found within a flash; where it is found elsewhere, in another size or in another view, that
    was a short view.
    """
    cuts, found = cuts.copy(), np.isfinite(meshes[:, 0, 0])
    for first, after, lit in flashes:
        if not lit and found[first:after].any():
            continue
        length = after - first
        before = np.flatnonzero(found[max(first - length, 0) : first])
        behind = np.flatnonzero(found[after : after + length])
        if len(before) and len(behind):
            last = max(first - length, 0) + before[-1]
            others = [*(first + np.flatnonzero(found[first:after])), after + behind[0]]
            one, *boxes = (box_of_landmarks(meshes[place, :, :2]) for place in (last, *others))
            if all(same_place(one, box, within=UNMOVED, size_ratio=UNMOVED_RATIO) for box in boxes):
                cuts[first : after + 1] = False
    return cuts


def jumps_of(meshes: FaceMeshes) -> FaceFlags:
    """Tell before which frames the face of ``meshes`` (n, 468, 3), nan without one, jumps.

    None does beside frames without a face, of which it cannot be known how far it usually moves.
    """
    sizes = np.sqrt(np.ptp(meshes[:, :, :2], axis=1).prod(axis=1))
    rigid = meshes[:, list(RIGID_POINTS), :2]
    steps = np.median(np.linalg.norm(np.diff(rigid, axis=0), axis=2), axis=1)
    moved = np.r_[np.nan, steps / np.minimum(sizes[1:], sizes[:-1])][: len(meshes)]
    around = np.pad(np.nan_to_num(moved, nan=np.inf), JUMP_FRAMES, constant_values=np.inf)
    beside = [step for step in range(2 * JUMP_FRAMES + 1) if step != JUMP_FRAMES]
    near = np.max([around[step : step + len(moved)] for step in beside], axis=0)
    alone = np.flatnonzero(moved > JUMP_RATIO * near)
    jumps = np.zeros(len(moved), np.bool_)
    for frame in alone[moved[alone] > JUMP].tolist():
        others = alone[(alone != frame) & (np.abs(alone - frame) <= REPEATED_FRAMES)]
        jumps[frame] = not (JUMP_RATIO * moved[others] > moved[frame]).any()
    return jumps
