"""The pixels of a lent mouth as they lie on a frame: the lender's planes, sampled once.

The map of positions is that of the heads, bent by what the lender's shape lacks. Where the lender's lips
are shut and the wanted ones are not, the inside of the mouth is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.head import eyes_apart
from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame, Plane, bgr_to_yuv
from app.mouths.bending import Placing, bend
from app.mouths.covers import FaceCover
from app.mouths.inside import Picture, WantedTeeth, draw_inside
from app.mouths.lips import above_lower_lip, between_lips
from app.mouths.looks import Skin
from app.mouths.shown import NOTHING_SHOWN, ShownInside
from app.mouths.tooth_rows import HeldTeeth, between_teeth
from app.mouths.types import Numbers

FloatPlane = npt.NDArray[np.float32]
"""float32 (rows, columns): samples of one plane, 0..255."""

Displacements = tuple[FloatPlane, FloatPlane]
"""By how much the map of two heads is wrong, to the right and down: pixels of the lender at every pixel of
chroma, float32 (rows / 2, columns / 2) each."""

_SampleT = TypeVar("_SampleT", np.uint8, np.float32)

Region = tuple[int, int, int, int]
"""Top, bottom, left, right of a part of the frame, luma pixels, all even, bottom and right exclusive."""

BEYOND: Final = 0.06
"""How far beyond the lender's frame something of it still counts, in distances of the outer eye corners: its
mirror image is like skin for so long."""


@dataclass(frozen=True)
class Opened:
    """That the inside of a mouth is to be drawn, for the lender shows none, or too little."""

    skin: Skin
    """The lender's, float32 (3,)."""
    teeth: WantedTeeth
    """float32 (2,): that are to show."""
    shown: ShownInside = NOTHING_SHOWN
    """What the lender shows between its lips."""


@dataclass(frozen=True)
class Lent:
    """A mouth that is to be laid: the lender's pixels, and how it lies."""

    frame: I420Frame
    placing: Placing
    opened: Opened | None = None
    """Its lips are parted by any amount, and the inside is drawn; None for what it shows by itself."""
    cover: FaceCover | None = None
    """What lies before the lender's face."""
    teeth: Numbers | None = None
    """What :func:`between_teeth` says of the lender, if that is known."""


@dataclass(frozen=True)
class Sampled:
    """A lent mouth over a region of the frame."""

    planes: list[Plane]
    """Y, U and V."""
    within: FloatPlane | None
    """How much of it the lender's frame holds, 0..1, at every pixel of chroma: what is mirrored beyond its
    border counts less and less. None where it holds all."""


def region_between(corner: Numbers, far: Numbers, layout: FrameLayout) -> Region | None:
    """Return the part of a frame from one position to another, x and y each; None for none of it."""
    (left, top), (right, bottom) = corner.tolist(), far.tolist()
    limits = (layout.height, layout.height, layout.width, layout.width)
    first, last, start, stop = (
        min(max(2 * round(edge / 2), 0), limit)
        for edge, limit in zip((top, bottom, left, right), limits, strict=True)
    )
    return (first, last, start, stop) if last - first >= 4 and stop - start >= 4 else None


def sampled(layout: FrameLayout, lent: Lent, landmarks: FaceLandmarks, region: Region) -> Sampled:
    """Sample a lent mouth over a region of the frame whose face lies at ``landmarks``."""
    bent = _Bent(layout, lent, landmarks, region)
    places = _Places(layout, lent.placing, region, bent.field)
    planes = places.sample(lent.frame)
    if lent.opened is not None:
        _draw_opened(layout, planes, lent, lent.opened, landmarks, bent)
    return Sampled(planes, places.within(BEYOND * max(eyes_apart(landmarks), 1.0)))


class _Bent:
    """What is added to the affine map of two heads over a region, at every pixel of chroma.

    Displacements are smooth, so luma has them from between those.
    """

    def __init__(self, layout: FrameLayout, lent: Lent, landmarks: FaceLandmarks, region: Region) -> None:
        placing = lent.placing
        self.region = region
        self._turned: Displacements | None = None
        self.field: Displacements | None = None
        """None for nothing at all."""
        if not placing.moves.any() and not placing.turned.any():
            return
        top, bottom, left, right = region
        half = (right - left) // 2, (bottom - top) // 2
        fields = cv2.split(cv2.resize(bend(placing, landmarks, region), half, interpolation=cv2.INTER_CUBIC))
        turned = self._turned = _both(fields[:2])
        moves = _both(fields[2:])
        parts = between_teeth(layout, lent.frame, placing.lent) if lent.teeth is None else lent.teeth
        HeldTeeth(placing, parts, (left, top)).hold(*moves)
        self.field = _both([here + more for here, more in zip(turned, moves, strict=True)])

    def still(self, part: Region) -> Displacements | None:
        """Return the field over a part of the region before the mouth is bent."""
        if self._turned is None:
            return None
        return _both([_view(one, self.region, part) for one in self._turned])


def _both(planes: Sequence[cv2.typing.MatLike]) -> Displacements:
    across, down = (np.asarray(plane, np.float32) for plane in planes)
    return across, down


class _Places:
    """Where in the lender the pixels of a region of the frame lie; ``field`` is one of :class:`_Bent`."""

    def __init__(
        self, layout: FrameLayout, placing: Placing, region: Region, field: Displacements | None
    ) -> None:
        top, bottom, left, right = region
        columns = np.arange(left, right, dtype=np.float32)
        rows = np.arange(top, bottom, dtype=np.float32)[:, None]
        x, y = _mapped(placing, columns, rows)
        half_x, half_y = _mapped(placing, columns[::2], rows[::2] + np.float32(0.5))
        if field is not None:
            for more, full, half in zip(field, (x, y), (half_x, half_y), strict=True):
                full += cv2.resize(more, full.shape[::-1], interpolation=cv2.INTER_LINEAR)
                half += more
        half_x *= np.float32(0.5)
        half_y *= np.float32(0.5)
        half_y -= np.float32(0.25)
        self._layout, self._luma, self._chroma = layout, (x, y), (half_x, half_y)

    def sample(self, frame: I420Frame) -> list[Plane]:
        """Return Y, U and V of the region; what lies beyond the lender's frame is mirrored at its border."""
        luma, *chroma = self._layout.planes(frame)
        bright = cv2.remap(luma, *self._luma, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        colors = [
            cv2.remap(plane, *self._chroma, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            for plane in chroma
        ]
        return [np.asarray(plane, np.uint8) for plane in (bright, *colors)]

    def within(self, reach: float) -> FloatPlane | None:
        """Return 1 in the lender's frame, 0 from ``reach`` pixels beyond it; None if that is 1 everywhere."""
        result: FloatPlane | None = None
        for places, length in zip(self._chroma, (self._layout.width, self._layout.height), strict=True):
            last = length / 2 - 1
            least, most, _, _ = cv2.minMaxLoc(places)
            if least >= 0 and most <= last:
                continue
            beyond = np.maximum(-places, places - np.float32(last)) * np.float32(2 / reach)
            share = 1 - np.clip(beyond, 0, 1)
            result = share if result is None else np.minimum(result, share)
        return result


def _mapped(
    placing: Placing, columns: npt.NDArray[np.float32], rows: npt.NDArray[np.float32]
) -> tuple[FloatPlane, FloatPlane]:
    """Return where in the lender positions of the frame lie, by the affine map of the heads."""
    (a, b, c), (d, e, f) = placing.head.tolist()
    return a * columns + (b * rows + c), d * columns + (e * rows + f)


def _draw_opened(
    layout: FrameLayout,
    planes: list[Plane],
    lent: Lent,
    opened: Opened,
    landmarks: FaceLandmarks,
    bent: _Bent,
) -> None:
    """Draw the inside of a mouth between the lips of bent planes of a region.

    What the lender shows between its lips stays as it lies on the skull; where its lips part a little further
    than in the lender, that is stretched.
    """
    own, tooth = np.float32(opened.shown.kept), opened.shown.tooth
    inside = draw_inside(lent.placing, landmarks, opened.skin, opened.teeth, bent.region, tooth)
    if inside is None:
        return
    views = [_view(plane, bent.region, inside.region) for plane in planes]
    drawn = [view.astype(np.float32) for view in views]
    if own < 1:
        for made, new in zip(drawn, _in_planes(inside.picture, bgr_to_yuv(layout.color)), strict=True):
            made += (1 - own) * (new - made)
    if own:
        places = _Places(layout, lent.placing, inside.region, bent.still(inside.region))
        still = places.sample(lent.frame)
        shown = between_lips(lent.placing.laid, inside.region)
        kept = above_lower_lip(shown, landmarks) * own
        for made, keep, plane in zip(drawn, [kept, *[_halved(kept)] * 2], still, strict=True):
            made += keep * (plane - made)
    after = between_lips(lent.placing.points, inside.region)
    for view, made, shown in zip(views, drawn, [after, *[_halved(after)] * 2], strict=True):
        view[:] = (view + shown * (made - view) + np.float32(0.5)).clip(0, 255)


def _in_planes(picture: Picture, to_yuv: npt.NDArray[np.float64]) -> list[FloatPlane]:
    """Return Y, U and V of a BGR picture, at the size of their planes."""
    luma, chroma = cv2.transform(picture, to_yuv[:1]), cv2.transform(_halved(picture), to_yuv[1:])
    return [np.asarray(plane, np.float32) for plane in (luma, *cv2.split(chroma))]


def _halved(plane: FloatPlane) -> FloatPlane:
    """Return a plane, or several in one array, at the resolution of chroma."""
    size = plane.shape[1] // 2, plane.shape[0] // 2
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _view(plane: npt.NDArray[_SampleT], region: Region, part: Region) -> npt.NDArray[_SampleT]:
    """Return the part of a plane that covers ``region``, of luma or of chroma."""
    scale = (region[1] - region[0]) // plane.shape[0]
    top, bottom = ((edge - region[0]) // scale for edge in part[:2])
    left, right = ((edge - region[2]) // scale for edge in part[2:])
    return plane[top:bottom, left:right]
