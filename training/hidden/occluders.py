"""Things that come between a camera and a mouth, drawn at the size of an aligned crop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE
from training.hidden.faces import AlignedFaces
from training.hidden.fills import Picture, picture, plain, skin, smooth_noise
from training.hidden.settings import HiddenSettings

Shape = npt.NDArray[np.uint8]
"""uint8 (96, 96): 1 where the thing is."""

_BEND: Final = 0.35
"""Deviation of the angle in which fingers are bent, radians."""
_NAIL: Final = np.array([1.04, 1.0, 1.03], np.float32)
"""Gains (BGR) by which a nail differs from its finger."""
_LETTERS: Final = "ABCDEFGHIJKLMNOPRSTUVWYZabcdefghiklmnoprstuvwyz0123456789"


@dataclass(frozen=True)
class Occluder:
    """A thing: where it is, and what it shows there."""

    shape: Shape
    shown: Picture


def draw(
    rng: np.random.Generator, settings: HiddenSettings, own: AlignedFaces, others: AlignedFaces
) -> Occluder:
    """Draw a thing of a random kind; hands have the skin of the face itself, or of ``others``."""
    kind = _pick(rng, settings.objects)
    lenders = own if rng.random() < settings.own_skin else others
    return _KINDS[kind](rng, partial(_fill, rng, settings, others), partial(skin, rng, lenders))


Fill = Callable[[], Picture]


def _hand(rng: np.random.Generator, _: Fill, skin_of: Fill) -> Occluder:
    """Fingers from one side, rounded and mostly bent, with nails or creases, often with their hand."""
    shape, shade = _empty(), np.ones((CROP_SIZE, CROP_SIZE, 3), np.float32)
    angle, count, width = rng.uniform(0, 2 * np.pi), int(rng.integers(1, 5)), float(rng.uniform(6, 17))
    along, across = _direction(angle), _direction(angle + np.pi / 2)
    tips, bend = _place(rng), rng.normal(0, _BEND)
    if rng.random() < 0.6:
        palm = tips + along * rng.uniform(30, 50)
        axes = rng.uniform(16, 34, 2)
        cv2.ellipse(shape, _point(palm), _size(axes), np.degrees(angle), 0, 360, 1, cv2.FILLED)
    nails, creases = rng.random() < 0.4, rng.random() < 0.5
    for finger in range(count):
        tip = tips + across * (finger - (count - 1) / 2) * width * 1.05 + rng.normal(0, 2.5, 2)
        joint = tip + _direction(angle + rng.normal(0, 0.08)) * width * rng.uniform(1.2, 2.0)
        root = joint + _direction(angle + bend + rng.normal(0, 0.05)) * rng.uniform(40, 110)
        single = _empty()
        cv2.polylines(single, [np.rint([tip, joint, root]).astype(np.int32)], False, 1, max(1, round(width)))
        deep = cv2.distanceTransform(single, cv2.DIST_L2, 3) / (width / 2)
        rounded = np.repeat((0.62 + 0.38 * np.sqrt(np.clip(deep, 0, 1)))[..., None], 3, axis=2)
        if nails:
            rounded[_nail(tip, angle, width)] *= _NAIL * rng.uniform(0.95, 1.15)
        if creases:
            rounded[_crease(joint, angle, width)] *= rng.uniform(0.7, 0.95)
        shade = np.where(single[..., None] > 0, rounded, shade).astype(np.float32)
        shape |= single
    soft = cv2.GaussianBlur(shade, (0, 0), 0.6)
    return Occluder(shape, np.clip(skin_of() * soft, 0, 255).astype(np.float32))


def _nail(tip: npt.NDArray[np.float64], angle: float, width: float) -> npt.NDArray[np.bool_]:
    nail, middle = _empty(), tip - _direction(angle) * width * 0.1
    axes = _size((width * 0.35, width * 0.25))
    cv2.ellipse(nail, _point(middle), axes, np.degrees(angle), 0, 360, 1, cv2.FILLED)
    return np.asarray(nail > 0)


def _crease(joint: npt.NDArray[np.float64], angle: float, width: float) -> npt.NDArray[np.bool_]:
    crease, side = _empty(), _direction(angle + np.pi / 2) * width / 2
    cv2.line(crease, _point(joint - side), _point(joint + side), 1, 1)
    return np.asarray(crease > 0)


def _disc(rng: np.random.Generator, fill: Fill, _: Fill) -> Occluder:
    shape = _empty()
    turn = rng.uniform(0, 180)
    cv2.ellipse(shape, _point(_place(rng)), _size(rng.uniform(6, 34, 2)), turn, 0, 360, 1, cv2.FILLED)
    return Occluder(shape, fill())


def _bar(rng: np.random.Generator, fill: Fill, _: Fill) -> Occluder:
    turn = rng.choice([0.0, 90.0, rng.uniform(0, 180)])
    return Occluder(_box(_place(rng), (rng.uniform(14, 140), rng.uniform(8, 40)), turn), fill())


def _hull(rng: np.random.Generator, fill: Fill, _: Fill) -> Occluder:
    shape = _empty()
    points = _place(rng) + rng.normal(0, 16, (int(rng.integers(4, 9)), 2))
    cv2.fillPoly(shape, [cv2.convexHull(points.astype(np.int32))], 1)
    return Occluder(shape, fill())


def _text(rng: np.random.Generator, _: Fill, __: Fill) -> Occluder:
    """Letters straight on the picture, thick enough to hide something."""
    shape = _empty()
    _write(rng, shape, _place(rng), thickness=int(rng.integers(2, 5)))
    return Occluder(shape, plain(rng, *((0, 60) if rng.random() < 0.3 else (170, 255))))


def _caption(rng: np.random.Generator, _: Fill, __: Fill) -> Occluder:
    """A box with letters in it, as wide as the face or wider."""
    middle, height = _place(rng), rng.uniform(10, 30)
    shape = _box(middle, (rng.uniform(60, 220), height), 0.0)
    box, letters = plain(rng), _empty()
    bright = float(box.mean()) < 128
    for line in range(int(rng.integers(1, 3))):
        _write(rng, letters, middle + np.array([0, line * 14 - 3]), thickness=int(rng.integers(1, 3)))
    ink = plain(rng, *((180, 255) if bright else (0, 70)))
    return Occluder(shape, np.where(letters[..., None] > 0, ink, box))


def _microphone(rng: np.random.Generator, _: Fill, __: Fill) -> Occluder:
    """A round head of mesh or foam on a stick that comes from below."""
    head, radius = _place(rng), rng.uniform(8, 22)
    angle = np.pi / 2 + rng.normal(0, 0.5)
    shape = _empty()
    stick = head + _direction(angle) * 150
    cv2.line(shape, _point(head), _point(stick), 1, max(2, round(radius * rng.uniform(0.5, 1.2))))
    cv2.ellipse(
        shape, _point(head), _size((radius, radius * rng.uniform(1, 1.4))), np.degrees(angle), 0, 360, 1, -1
    )
    shown = plain(rng, 0, 90)
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    period = rng.uniform(2, 4)
    mesh = np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period) * rng.uniform(0, 25)
    glint = np.exp(
        -np.square([x - head[0] + radius / 3, y - head[1] + radius / 2]).sum(axis=0) / (2 * radius)
    )
    return Occluder(
        shape, np.clip(shown + (mesh + glint * rng.uniform(0, 150))[..., None], 0, 255).astype(np.float32)
    )


def _cup(rng: np.random.Generator, fill: Fill, _: Fill) -> Occluder:
    """A cup or glass, wider at its top, with a rim, a shaded body and mostly a handle."""
    shape = _empty()
    middle, turn = _place(rng) + np.array([0, rng.uniform(0, 20)]), rng.normal(0, 0.25)
    width, height, taper = rng.uniform(14, 30), rng.uniform(16, 40), rng.uniform(0.7, 1)
    corners = np.array(
        [[-width, -height], [width, -height], [width * taper, height], [-width * taper, height]]
    )
    right, down = _direction(turn), _direction(turn + np.pi / 2)
    cv2.fillPoly(shape, [np.rint(middle + corners @ np.stack([right, down])).astype(np.int32)], 1)
    rim = middle - down * height
    cv2.ellipse(shape, _point(rim), _size((width, width / 4)), np.degrees(turn), 0, 360, 1, cv2.FILLED)
    if rng.random() < 0.6:
        handle = middle + right * width * rng.choice([-1, 1])
        cv2.ellipse(shape, _point(handle), _size((width / 2, height / 2)), np.degrees(turn), 0, 360, 1, 3)
    x = (np.mgrid[:CROP_SIZE, :CROP_SIZE][1] - middle[0]) / width
    shown = fill() * (0.6 + 0.4 * np.sqrt(np.clip(1 - np.square(x), 0, 1)))[..., None]
    return Occluder(shape, shown.astype(np.float32))


_KINDS: Final[dict[str, Callable[[np.random.Generator, Fill, Fill], Occluder]]] = {
    "hand": _hand,
    "disc": _disc,
    "bar": _bar,
    "hull": _hull,
    "text": _text,
    "caption": _caption,
    "microphone": _microphone,
    "cup": _cup,
}


def _fill(rng: np.random.Generator, settings: HiddenSettings, faces: AlignedFaces) -> Picture:
    kind = _pick(rng, settings.fills)
    if kind == "skin":
        return skin(rng, faces)
    if kind == "picture":
        return picture(rng)
    noisy: Picture = np.clip(plain(rng) + smooth_noise(rng, rng.uniform(0, 12), rng.uniform(1, 5)), 0, 255)
    return noisy


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def _write(
    rng: np.random.Generator, shape: Shape, middle: npt.NDArray[np.float64], *, thickness: int
) -> None:
    words = "".join(rng.choice(list(_LETTERS + "      "), int(rng.integers(6, 16))))
    font, size = int(rng.integers(0, 5)), float(rng.uniform(0.35, 1.3))
    left = (float(rng.uniform(-25, 20)), float(middle[1]) + 6)
    cv2.putText(shape, words, _point(np.array(left)), font, size, 1, thickness, cv2.LINE_8)


def _box(middle: npt.NDArray[np.float64], size: tuple[float, float], turn: float) -> Shape:
    shape = _empty()
    corners = cv2.boxPoints(((float(middle[0]), float(middle[1])), size, float(turn)))
    cv2.fillPoly(shape, [np.rint(corners).astype(np.int32)], 1)
    return shape


def _place(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a point in the lower face, mostly near the mouth."""
    near = rng.normal([48, 47], [14, 13]) if rng.random() < 0.6 else rng.uniform([10, 12], [86, 90])
    return np.asarray(np.clip(near, 4, 92))


def _empty() -> Shape:
    return np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)


def _direction(angle: float) -> npt.NDArray[np.float64]:
    return np.array([np.cos(angle), np.sin(angle)])


def _point(place: npt.NDArray[np.float64]) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))


def _size(axes: npt.NDArray[np.float64] | tuple[float, float]) -> tuple[int, int]:
    return max(1, round(float(axes[0]))), max(1, round(float(axes[1])))
