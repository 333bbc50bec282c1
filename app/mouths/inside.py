"""The inside of a mouth whose footage never shows it: drawn, as teeth, tongue and shade lie in a head.

Lips, beard and skin are the footage's own, bent. Between the lips comes what anatomy says: a cavity that is
darkest behind the teeth, a tongue that lies low, lower teeth that go with the jaw, and upper teeth that stay
with the skull, so that lips which part uncover them. What the footage does show between the lips stays where
it is on the skull (:mod:`app.mouths.shown`), and the drawing is what opens beyond.

All lengths here are millimetres of an average head, whose mouth is 50 wide at rest; they are measured from
the middle of the resting lips, along the eyes (``across``) and down the face (``below``).
"""

from dataclasses import dataclass
from functools import cached_property
from math import floor
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceLandmarks
from app.mouths.bending import Placing
from app.mouths.dentition import STEP, Profile, dentition
from app.mouths.lips import PixelMap, head_millimetre
from app.mouths.looks import Skin, colourfulness
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.upright import Points

WantedTeeth = npt.NDArray[np.float32]
"""float32 (2,): upper and lower teeth that are to show beyond rest, the last two of a mouth shape."""

_Places = TypeVar("_Places", PixelMap, Profile)

Picture = npt.NDArray[np.float32]
"""float32 (rows, columns, 3): BGR, 0..255, of a part of a frame."""

Tooth = npt.NDArray[np.float64]
"""float64 (3,): blue, green, red of teeth, 0..255."""

_FAR: Final = 1e3
"""Millimetres to where nothing is."""

_UPPER_DROP: Final = (2.0, 0.8, 1.0, 5.0)
"""By how much upper incisors reach below the resting upper lip: usually, for each unit of teeth that are to
show, least and most. Adults show 1 to 3 mm at rest."""
_LOWER_RISE: Final = (-0.2, 0.9, 0.0, 3.5)
"""By how much lower teeth rise above the lower lip, likewise."""

_USUAL_SKIN: Final = np.array([0.62, 0.76, 1.0])
"""Blue, green and red of skin under neutral light, over red: what differs is taken for the light's colour."""

_SOFT_CAST, _TOOTH_CAST = 0.5, 0.3
"""Powers of that colour which what is drawn takes on, and teeth: those of eight people in training, whose
skin is 1.25 to 1.9 times as red as blue, are 1.1 to 1.4 times as red as blue, 1.2 in the median."""

_CAVITY: Final = np.array([0.075, 0.075, 0.16])
_TONGUE: Final = np.array([0.25, 0.26, 0.53])
"""Colours over the mean of the cheeks."""
_TOOTH: Final = np.array([0.885, 0.945, 1.07])
_TOOTH_LEAST, _TOOTH_MORE = 72.0, 0.68
"""Colour of teeth over their brightness; that in steps of 0..255, and what of the cheeks' is added: teeth
are alike, skin is not. The brighter ones of those eight people are 1.08 times as bright as their cheeks."""

_DARKER, _SLIT = 0.9, 1.8
"""Share of the light that does not fall between lips that hardly part; and how far apart they are where that
share has fallen to a third."""

_LEAST_GAP: Final = 0.1
"""Millimetres that count where lips touch, or cross."""

_REDDENED: Final = (1.25, 1.2, 0.85)
"""Powers of that light in blue, green and red: what falls into a slit comes from the lips."""

_GREY: Final = (0.03, 0.09)
"""Colourfulness of skin up to which a picture is black and white, and from which it has all its colours."""

_MOST_SKEW: Final = 40.0
"""Twice by how many millimetres the corners of a mouth are not as far from its middle, at most."""

_SHUT: Final = 0.25
"""Pixels by which the lips are nowhere further apart in a shut mouth."""


@dataclass(frozen=True)
class Inside:
    """What is visible between the lips of one frame; made by :func:`draw_inside`."""

    mouth: "_Mouth"
    skin: Skin
    teeth: WantedTeeth
    own: Tooth | None
    """The colour of the person's teeth."""

    @property
    def region(self) -> tuple[int, int, int, int]:
        """Top, bottom, left, right of a part of the frame, all even, bottom and right exclusive."""
        return self.mouth.region

    @cached_property
    def picture(self) -> Picture:
        """What is drawn in the region, when it is first looked at."""
        mouth, skin = self.mouth, self.skin
        mean = max(float(skin.mean()), 1.0)
        cast = np.clip((skin / mean) * (_USUAL_SKIN.mean() / _USUAL_SKIN), 0.5, 2.0)
        soft_cast = cast**_SOFT_CAST
        dark = (mean * _CAVITY * soft_cast).tolist()
        planes = [np.full(mouth.below.shape, one, np.float32) for one in dark]
        lights = mouth.lights
        _lay(planes, mouth.tongue, lights, mean * _TONGUE * soft_cast)
        usual = (_TOOTH_LEAST + _TOOTH_MORE * mean) * _TOOTH * cast**_TOOTH_CAST
        tooth = usual if self.own is None else self.own
        for alpha, shade in mouth.teeth(float(self.teeth[0]), float(self.teeth[1])):
            _lay(planes, alpha, [shade * light for light in lights], tooth)
        soft = cv2.GaussianBlur(cv2.merge(planes), (0, 0), max(0.6, 0.3 * mouth.millimetre))
        colour = float(np.interp(colourfulness(skin), _GREY, (0, 1)))
        toned = cv2.transform(soft, colour * np.eye(3) + (1 - colour) / 3)
        return np.asarray(toned, np.float32)


def draw_inside(
    placing: Placing,
    landmarks: FaceLandmarks,
    skin: Skin,
    teeth: WantedTeeth,
    region: tuple[int, int, int, int],
    own: Tooth | None = None,
) -> Inside | None:
    """Return the inside of the mouth that ``placing`` opens on the head at ``landmarks``.

    It is drawn when its ``picture`` is first read. ``skin`` is the lender's, whose light is that of what is
    drawn; ``region`` is the part of the frame, top, bottom, left, right, all even, within which it may lie;
    ``own`` is the colour of the person's teeth where it is known. None if the lips part nowhere in the
    region.
    """
    mouth = _Mouth(placing, landmarks, region)
    return None if mouth.empty else Inside(mouth, skin, teeth, own)


class _Mouth:
    """Where on the frame the parts of one mouth lie."""

    def __init__(self, placing: Placing, landmarks: FaceLandmarks, region: tuple[int, int, int, int]) -> None:
        self._placing, self._landmarks = placing, landmarks
        self._goal, self._rest = (points.astype(np.float64) for points in (placing.points, placing.laid))
        top, bottom, left, right = region
        lips = self._goal[[*UPPER_LIP_INNER, *LOWER_LIP_INNER]]
        low, high = np.floor(lips.min(axis=0)) - 3, np.ceil(lips.max(axis=0)) + 4
        self.region = (
            max(int(low[1]), top) & ~1,
            min(int(high[1]) + 1, bottom) & ~1,
            max(int(low[0]), left) & ~1,
            min(int(high[0]) + 1, right) & ~1,
        )
        eyes = landmarks[LEFT_EYE].astype(np.float64) - landmarks[RIGHT_EYE]
        distance = max(float(np.hypot(*eyes)), 1e-3)
        self._along = eyes / distance
        self._down = np.array([-self._along[1], self._along[0]])

    @property
    def empty(self) -> bool:
        """Whether nothing of the inside is visible in the region."""
        top, bottom, left, right = self.region
        upper, lower = (self._goal[list(row)] @ self._down for row in (UPPER_LIP_INNER, LOWER_LIP_INNER))
        return bottom - top < 4 or right - left < 4 or bool((lower - upper).max() < _SHUT)

    @cached_property
    def millimetre(self) -> float:
        """Pixels of the frame, down the head; fewer lie across it if it is turned."""
        return self._across_head / self._placing.narrowed

    @property
    def opening(self) -> float:
        """How far the middles of the lips are apart."""
        return float((self._goal[14] - self._goal[13]) @ self._down) / self.millimetre

    @cached_property
    def below(self) -> PixelMap:
        """Place of every pixel, downward."""
        return self._places(self._down, self.millimetre)

    @property
    def lights(self) -> list[PixelMap]:
        """How much blue, green and red light falls between the lips, 0..1: slits and corners are dark."""
        upper, lower = self._lines
        light = 1 - _DARKER * np.exp(-np.maximum(lower - upper, _LEAST_GAP) / _SLIT)
        return self._over(*(light**power for power in _REDDENED))

    @property
    def tongue(self) -> PixelMap:
        """How much of the tongue is seen, 0..1: it lies low and in the middle."""
        return _smooth((self.below - self._upper_lip) / self._gap, 0.3, 0.9) * self._breadth

    def teeth(
        self, upper: float, lower: float
    ) -> tuple[tuple[PixelMap, PixelMap], tuple[PixelMap, PixelMap]]:
        """Return how much of the lower and of the upper teeth is seen, and their shade; all 0..1.

        ``upper`` and ``lower`` are the teeth that are to show.
        """
        row = dentition()
        edges = self._over(
            self._upper_edge(upper),
            self._lower_edge(lower),
            row.upper_shade[self._steps],
            row.lower_shade[self._steps],
        )
        shadow = np.asarray(0.82 + 0.18 * np.clip((self.below - self._upper_lip) / 3, 0, 1), np.float32)
        return (
            (_smooth(self.below - edges[1], -0.35, 0.35), edges[3]),
            (_smooth(edges[0] - self.below, -0.3, 0.3), shadow * edges[2]),
        )

    def _upper_edge(self, shown: float) -> Profile:
        """Return where the edge of the upper teeth runs."""
        usual, more, least, most = _UPPER_DROP
        drop, row = min(max(usual + more * shown, least), most), dentition()
        edge = self._curve(self._rest[list(UPPER_LIP_INNER)]) + row.upper_edge[self._steps]
        edge += drop * row.arch[self._steps]
        edge[row.no_upper[self._steps]] = -_FAR
        return edge

    def _lower_edge(self, shown: float) -> Profile:
        """Return where the edge of the lower teeth runs."""
        usual, more, least, most = _LOWER_RISE
        rise = min(max(usual + more * max(shown, 0.0), least), most) * min(max(self.opening / 8, 0.0), 1.0)
        row = dentition()
        edge = self._curve(self._goal[list(LOWER_LIP_INNER)]) - rise + row.lower_edge[self._steps]
        edge[row.no_lower[self._steps]] = _FAR
        return edge

    @property
    def _upper_lip(self) -> PixelMap:
        return self._lips[0]

    @property
    def _lower_lip(self) -> PixelMap:
        return self._lips[1]

    @cached_property
    def _gap(self) -> PixelMap:
        """How far the lips are apart."""
        gap: PixelMap = np.maximum(self._lower_lip - self._upper_lip, np.float32(_LEAST_GAP))
        return gap

    @property
    def _breadth(self) -> PixelMap:
        return self._lips[2]

    @cached_property
    def _lines(self) -> list[Profile]:
        """Where the inner edges of the upper and of the lower lip run."""
        return [self._line(self._goal[list(row)]) for row in (UPPER_LIP_INNER, LOWER_LIP_INNER)]

    @cached_property
    def _lips(self) -> list[PixelMap]:
        return self._over(*self._lines, dentition().breadth[self._steps])

    @cached_property
    def _across_head(self) -> float:
        return head_millimetre(self._rest, self._landmarks)

    @cached_property
    def _middle(self) -> npt.NDArray[np.float64]:
        middle: npt.NDArray[np.float64] = (self._rest[13] + self._rest[14]) / 2
        return middle

    @cached_property
    def _skew(self) -> float:
        """How much nearer one corner of the mouth looks: see :meth:`_rounded`."""
        right, left = ((self._rest[[61, 291]] - self._middle) @ self._along / self._across_head).tolist()
        skew: float = min(max(2 * (left + right), -_MOST_SKEW), _MOST_SKEW) / max(left - right, 1.0) ** 2
        return skew

    @cached_property
    def _across(self) -> PixelMap:
        """Place of every pixel, from the middle to the person's left."""
        return self._rounded(self._places(self._along, self._across_head))

    @cached_property
    def _steps(self) -> slice:
        """The places of :class:`Dentition` between which all pixels lie."""
        low, high = (float(place) / STEP for place in (self._across.min(), self._across.max()))
        middle = len(dentition().places) // 2
        first, last = (min(max(middle + floor(place), 0), 2 * middle) for place in (low, high))
        return slice(first, min(last + 2, 2 * middle + 1))

    def _over(self, *profiles: Profile) -> list[PixelMap]:
        """Return what profiles, finer than pixels, say nearest to each; beyond their ends as at the end."""
        table = np.ascontiguousarray(np.stack(profiles, axis=-1)[None], np.float32)
        first = np.float32(dentition().places[self._steps.start])
        places = (self._across - first) * np.float32(1 / STEP)
        spread = cv2.remap(
            table, places, np.zeros_like(places), cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        return [np.asarray(one, np.float32) for one in cv2.split(spread)]

    def _places(self, direction: npt.NDArray[np.float64], millimetre: float) -> PixelMap:
        top, bottom, left, right = self.region
        columns = (np.arange(left, right) - self._middle[0]) * (direction[0] / millimetre)
        rows = (np.arange(top, bottom) - self._middle[1]) * (direction[1] / millimetre)
        places: PixelMap = columns.astype(np.float32) + rows.astype(np.float32)[:, None]
        return places

    def _line(self, points: Points) -> Profile:
        """Return how far below the middle a line of points runs."""
        along, down = self._relative(points)
        order = np.argsort(along)
        line: Profile = np.interp(dentition().places[self._steps], along[order], down[order])
        return line

    def _curve(self, points: Points) -> Profile:
        """Return :meth:`_line` without a lip's waves, as a row of teeth runs."""
        curve = np.polyval(np.polyfit(*self._relative(points), 2), dentition().places[self._steps])
        return np.asarray(curve, np.float64)

    def _relative(self, points: Points) -> tuple[Profile, Profile]:
        """Return where points lie, across and below."""
        relative = points - self._middle
        across = self._rounded(relative @ self._along / self._across_head)
        return across, relative @ self._down / self.millimetre

    def _rounded(self, seen: _Places) -> _Places:
        """Return where around the mouth lies what is seen so far from its middle.

        A mouth is round: on the far side of a turned head more of it is seen in less room. What lies at x is
        seen at x + skew * x * x, so that both corners are as far away.
        """
        if abs(self._skew) < 1e-6:
            return seen
        root = np.sqrt(np.maximum(1 + 4 * self._skew * seen, 0.01))
        around: _Places = ((root - 1) / (2 * self._skew)).astype(seen.dtype)
        return around


def _smooth(value: PixelMap, low: float, high: float) -> PixelMap:
    share = np.clip((value - low) / (high - low), 0, 1).astype(np.float32)
    smooth: PixelMap = share * share * (3 - 2 * share)
    return smooth


def _lay(
    planes: list[PixelMap], alpha: PixelMap, shades: list[PixelMap], color: npt.NDArray[np.float64]
) -> None:
    """Lay a colour, as dark as ``shades`` say, over blue, green and red."""
    for plane, shade, one in zip(planes, shades, color.tolist(), strict=True):
        plane += alpha * (shade * np.float32(one) - plane)
