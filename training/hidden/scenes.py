"""Training samples: a face, something before it or nothing, and what cameras and codecs do to both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.hidden import CROP_SIZE
from app.faces.types import FaceLandmarks
from app.mouths.points import JAW, LOWER_LIP_OUTER, UPPER_LIP_OUTER
from training.hidden.faces import AlignedFaces, CropPoints, Footage
from training.hidden.fills import Picture, smooth_noise
from training.hidden.occluders import Occluder, draw
from training.hidden.settings import HiddenSettings
from training.hidden.smiles import painted_lips, smile_frames, smiling

_MIDDLE: Final = (CROP_SIZE / 2, CROP_SIZE / 2)
_BELOW_NOSE: Final = (327, 2, 98)
_STILL, _STREAK = 0.5, 0.3
"""Share of a pixel that a thing takes, from which it hides the pixel; of one that moves, its streak does."""
_SHADOW_REACH, _SHADOW_BLUR = 5, 3.0
"""Pixels by which a shadow lies beside its object, and deviation of its blur."""


@dataclass(frozen=True)
class Scene:
    """A face with what is before it."""

    picture: npt.NDArray[np.uint8]
    """uint8 (96, 96, 3), BGR."""
    hidden: npt.NDArray[np.float32]
    """float32 (96, 96): 1 where something is before the face, else 0."""
    points: FaceLandmarks
    """The face's mesh, pixels of the picture; a mirrored face has its right points on its left."""


class SceneMaker:
    """Draws scenes over the faces of some people; those lend the skin of hands, too."""

    def __init__(
        self, filmed: Sequence[Footage], packed: Sequence[Footage], settings: HiddenSettings
    ) -> None:
        """Take people out of videos and out of a pack; one of the two may be nobody."""
        people = [*filmed, *packed]
        self._faces: list[AlignedFaces] = [person.faces for person in people]
        self._points: list[CropPoints] = [person.points for person in people]
        self._settings = settings
        shares = [(1 - settings.packed) / max(len(filmed), 1)] * len(filmed)
        shares += [settings.packed / max(len(packed), 1)] * len(packed)
        self._shares = np.array(shares) / sum(shares)
        self._smiles = [smile_frames(person.points) for person in people]
        self._smilers = [index for index, frames in enumerate(self._smiles) if len(frames)]

    def draw(self, rng: np.random.Generator) -> Scene:
        """Return a scene; each person of a kind is as frequent as any other, however long their video."""
        person, face, points = self._face(rng)
        face, points = self._moved(rng, face, points)
        if rng.random() < self._settings.shaded:
            face = _shaded(rng, face)
        hidden = np.zeros((CROP_SIZE, CROP_SIZE), np.bool_)
        if rng.random() < self._settings.covered:
            for _ in range(1 + int(rng.random() < self._settings.second_object)):
                others = self._faces[rng.integers(len(self._faces))]
                thing = draw(rng, self._settings, self._faces[person], others)
                face, hides = self._laid_on(rng, face, thing)
                hidden |= hides
        return Scene(self._spoilt(rng, face), hidden.astype(np.float32), points)

    def _face(self, rng: np.random.Generator) -> tuple[int, Picture, FaceLandmarks]:
        """Return somebody, their face as filmed, smiling, painted or bearded, and its points."""
        settings = self._settings
        smiler = len(self._smilers) > 0 and rng.random() < settings.smilers
        person = int(
            rng.choice(self._smilers if smiler else len(self._faces), p=None if smiler else self._shares)
        )
        frames = self._smiles[person] if smiler else range(len(self._faces[person]))
        frame = frames[int(rng.integers(len(frames)))]
        face, points = self._faces[person][frame].astype(np.float32), self._points[person][frame]
        if rng.random() < settings.smiles:
            face, points = smiling(rng, face, points)
        if rng.random() < settings.lipstick:
            face = painted_lips(rng, face, points)
        if rng.random() < settings.beards:
            face = _bearded(rng, face, points, gray=rng.random() < settings.gray_beards)
        return person, face, points

    def _moved(
        self, rng: np.random.Generator, face: Picture, points: FaceLandmarks
    ) -> tuple[Picture, FaceLandmarks]:
        settings = self._settings
        zoom = float(np.exp(rng.normal(0, settings.zoom)))
        turn = float(rng.normal(0, settings.turn))
        way = np.asarray(cv2.getRotationMatrix2D(_MIDDLE, turn, zoom), np.float64)
        way[:, 2] += rng.normal(0, settings.move, 2)
        moved = np.asarray(
            cv2.warpAffine(face, way, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REPLICATE), np.float32
        )
        there = (points @ way[:, :2].T + way[:, 2]).astype(np.float32)
        if rng.random() < 0.5:
            return moved[:, ::-1], np.asarray((CROP_SIZE - 1, 0) - there * (1, -1), np.float32)
        return moved, there

    def _laid_on(
        self, rng: np.random.Generator, face: Picture, thing: Occluder
    ) -> tuple[Picture, npt.NDArray[np.bool_]]:
        """Return the face behind the thing, in its shadow, and which of its pixels the thing hides."""
        settings = self._settings
        shape = thing.shape.astype(np.float32)
        soft = np.asarray(cv2.GaussianBlur(shape, (0, 0), rng.uniform(*settings.edge_blur)), np.float32)
        shown = thing.shown
        least = _STILL
        if rng.random() < settings.moving:
            path = _path(rng.uniform(0, np.pi), rng.uniform(*settings.motion))
            soft, shown = (np.asarray(cv2.filter2D(one, -1, path), np.float32) for one in (soft, shown))
            least = _STREAK
        shift = rng.integers(-_SHADOW_REACH, _SHADOW_REACH + 1, 2)
        shadow = cv2.GaussianBlur(np.roll(shape, shift, (0, 1)), (0, 0), _SHADOW_BLUR)
        dimmed = face * (1 - rng.uniform(0, settings.shadow) * shadow * (1 - soft))[..., None]
        return dimmed * (1 - soft[..., None]) + shown * soft[..., None], soft > least

    def _spoilt(self, rng: np.random.Generator, face: Picture) -> npt.NDArray[np.uint8]:
        settings = self._settings
        bright = 255 * np.clip(face / 255, 0, 1) ** rng.uniform(*settings.gamma)
        dim = rng.uniform(settings.dimmest, 1) if rng.random() < settings.dim else 1.0
        gains = dim * rng.uniform(*settings.gain) * np.exp(rng.normal(0, settings.tint, 3))
        tinted: Picture = np.asarray(bright * gains.astype(np.float32), np.float32)
        if rng.random() < settings.coloured:
            tinted = np.asarray(tinted @ _hue_turned(rng.uniform(-settings.hue, settings.hue)), np.float32)
        if rng.random() < settings.pale:
            tinted = _paler(rng, tinted, settings.haze)
        grain = rng.standard_normal((CROP_SIZE, CROP_SIZE), np.float32) * rng.uniform(0.01, settings.noise)
        result = np.asarray(tinted + cv2.GaussianBlur(grain, (0, 0), 0.7)[..., None], np.float32)
        if rng.random() < settings.spoilt:
            result = np.asarray(cv2.GaussianBlur(result, (0, 0), rng.uniform(*settings.blur)), np.float32)
        pixels = np.clip(result, 0, 255).astype(np.uint8)
        if rng.random() < settings.spoilt:
            quality = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*settings.jpeg))]
            coded = cv2.imencode(".jpg", pixels, quality)[1]
            pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return pixels


def _bearded(
    rng: np.random.Generator, face: Picture, points: npt.NDArray[np.float32], *, gray: bool
) -> Picture:
    """Return the face with hair about the mouth, or a part of it: it belongs to the face."""
    region = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    outline, kind = points[[*JAW, *_BELOW_NOSE]].copy(), rng.random()
    if kind < 0.3:
        outline[: len(JAW)] += (points[17] - outline[: len(JAW)]) * rng.uniform(0.2, 0.5)
    if kind < 0.6:
        cv2.fillPoly(region, [np.rint(outline).astype(np.int32)], 1)
    else:
        _goatee(rng, region, points)
    lips = points[[*UPPER_LIP_OUTER, *LOWER_LIP_OUTER[::-1]]]
    cv2.fillPoly(region, [np.rint(lips).astype(np.int32)], 0)
    thick = cv2.GaussianBlur(region.astype(np.float32), (0, 0), rng.uniform(1, 3))
    thick = (thick * rng.uniform(0.3, 1.0))[..., None]
    if gray:
        patches = 0.5 + smooth_noise(rng, rng.uniform(0, 0.6), 4.0)  # how white, from place to place
        white = rng.uniform(90, 225) * np.array([0.96, 0.98, 1.0])
        dark = rng.uniform(15, 80) * np.array([0.9, 0.95, 1.05])
        share = np.clip(rng.uniform(0.2, 1.2) * (patches + 0.25) + smooth_noise(rng, 0.35, 0.6), 0, 1)
        hair = dark + (white - dark) * share + smooth_noise(rng, rng.uniform(4, 20), 0.7)
    else:
        hair = rng.uniform(10, 70) * np.array([0.85, 0.95, 1.1]) + smooth_noise(rng, 14, 0.8)
    return np.asarray(face * (1 - thick) + np.clip(hair, 0, 255) * thick, np.float32)


def _goatee(rng: np.random.Generator, region: npt.NDArray[np.uint8], points: FaceLandmarks) -> None:
    """Fill a part of the chin, mostly with a moustache and what joins the two."""
    lip, chin = points[17], points[152]
    width = float(np.hypot(*(points[LOWER_LIP_OUTER[-1]] - points[LOWER_LIP_OUTER[0]]))) / 2
    middle = lip + (chin - lip) * rng.uniform(0.4, 0.8)
    tall = float(np.hypot(*(chin - lip))) * rng.uniform(0.4, 0.9)
    axes = (max(1, round(width * rng.uniform(0.4, 1.1))), max(1, round(tall)))
    cv2.ellipse(region, (round(float(middle[0])), round(float(middle[1]))), axes, 0, 0, 360, 1, cv2.FILLED)
    thickness = max(1, round(width * rng.uniform(0.15, 0.4)))
    if rng.random() < 0.8:
        above = points[list(UPPER_LIP_OUTER)] + (points[2] - points[0]) * rng.uniform(0.2, 0.5)
        cv2.polylines(region, [np.rint(above).astype(np.int32)], False, 1, thickness)
    if rng.random() < 0.6:
        for corner in (UPPER_LIP_OUTER[0], UPPER_LIP_OUTER[-1]):
            out = points[corner] + (points[corner] - lip) * 0.15
            line = np.rint([out, out + (middle - out) * 0.6]).astype(np.int32)
            cv2.polylines(region, [line], False, 1, thickness)


def _shaded(rng: np.random.Generator, face: Picture) -> Picture:
    """Return the face with a shadow over a part of it, whose edge is sharp or soft: it hides nothing."""
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE].astype(np.float32) - CROP_SIZE / 2
    angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(1, 14)
    bend = smooth_noise(rng, rng.uniform(0, 12), 12.0)[..., 0]
    beyond = columns * np.cos(angle) + rows * np.sin(angle) + bend - rng.normal(0, 18)
    share = 1 / (1 + np.exp(-np.clip(beyond / width, -30, 30)))
    return np.asarray(face * (1 - rng.uniform(0.2, 0.8) * share)[..., None], np.float32)


def _path(angle: float, length: float) -> npt.NDArray[np.float32]:
    """Return the kernel of a motion by ``length`` pixels; its sum is 1."""
    reach = int(np.ceil(length / 2))
    path = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    end = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    first, last = (np.rint(reach + way * end).astype(int) for way in (-1, 1))
    cv2.line(path, (int(first[0]), int(first[1])), (int(last[0]), int(last[1])), 1)
    return np.asarray(path / path.sum(), np.float32)


def _paler(rng: np.random.Generator, face: Picture, most: float) -> Picture:
    """Return the face with less colour and in a haze, each up to ``most``."""
    gray = face.mean(axis=2, keepdims=True)
    faded = face + (gray - face) * rng.uniform(0, most)
    return np.asarray(faded + (255 - faded) * rng.uniform(0, most), np.float32)


def _hue_turned(degrees: float) -> npt.NDArray[np.float32]:
    """Return the matrix (3, 3) that turns colours about gray."""
    turn, _ = cv2.Rodrigues(np.full(3, np.radians(degrees) / np.sqrt(3)))
    return np.asarray(turn, np.float32)
