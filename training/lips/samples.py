"""What teaches how far lips part: mouths of many people, with the openings that their meshes have."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequest
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.mouths.lips_apart import MOUTH_SIZE, Apart, mouth_crop
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from training.hidden.faces import CropPoints, Footage
from training.lips.settings import LipsSettings

_EYES: Final = 48.0
"""Pixels between the eyes of an aligned crop."""
_MIDDLE: Final = slice(3, 8)
"""The five points of a row of inner lips in the middle."""
_NOSE, _RIGHT_CHEEK, _LEFT_CHEEK = 1, 234, 454
_MIRRORED: Final = 0.5
_CENTRE: Final = (MOUTH_SIZE[0] / 2, MOUTH_SIZE[1] / 2)


def apart_by_mesh(points: CropPoints) -> Apart:
    """Return how far lips part in the middle of mouths by their meshes."""
    upper, lower = (
        points[:, list(row)[_MIDDLE], 1].mean(axis=1) for row in (UPPER_LIP_INNER, LOWER_LIP_INNER)
    )
    return np.asarray(100 * (lower - upper) / _EYES, np.float32)


def frontal(points: CropPoints) -> npt.NDArray[np.float64]:
    """Return how near the nearer cheek is to the nose, beside the other one, (n,): 1 for who looks ahead."""
    nose, right, left = (
        points[:, index, 0].astype(np.float64) for index in (_NOSE, _RIGHT_CHEEK, _LEFT_CHEEK)
    )
    sides = np.abs(np.stack([nose - right, left - nose]))
    ratio: npt.NDArray[np.float64] = sides.min(axis=0) / np.maximum(sides.max(axis=0), 1e-6)
    return ratio


class Mouths:
    """Mouths to draw from: somebody who is filmed four times as long is drawn twice as often."""

    def __init__(self, people: Sequence[Footage], settings: LipsSettings) -> None:
        """Take the frames of people who look ahead; raises InvalidRequest if nobody does."""
        self._settings = settings
        chosen = [frontal(person.points) >= settings.frontal for person in people]
        if not any(kept.any() for kept in chosen):
            raise InvalidRequest(
                "Nobody looks ahead in any frame: give videos of people who face the camera."
            )
        self._faces = np.concatenate([one.faces[kept] for one, kept in zip(people, chosen, strict=True)])
        self._points = np.concatenate([one.points[kept] for one, kept in zip(people, chosen, strict=True)])
        self._apart = apart_by_mesh(self._points)
        counts = np.array([kept.sum() for kept in chosen])
        shares = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator, count: int) -> tuple[npt.NDArray[np.uint8], Apart]:
        """Return mouths (count, 40, 56, 3), BGR, and how far their lips part by the mesh."""
        picked = rng.choice(len(self._faces), count, p=self._shares)
        mouths = [self._altered(rng, self._faces[index], self._points[index]) for index in picked.tolist()]
        return np.stack(mouths), self._apart[picked]

    def _altered(self, rng: np.random.Generator, face: BgrImage, points: FaceLandmarks) -> BgrImage:
        """Return a mouth that is moved, lit and spoilt at random."""
        settings = self._settings
        turn, zoom = float(rng.normal(0, settings.turn)), float(np.exp(rng.normal(0, settings.zoom)))
        way = np.asarray(cv2.getRotationMatrix2D(_CENTRE, turn, zoom), np.float64)
        way[:, 2] += rng.normal(0, settings.move, 2)
        mouth = cv2.warpAffine(mouth_crop(face, points), way, MOUTH_SIZE, borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < _MIRRORED:
            mouth = mouth[:, ::-1]
        if rng.random() < settings.blurred:
            mouth = cv2.GaussianBlur(mouth, (0, 0), rng.uniform(*settings.blur))
        lit = 255 * (mouth / np.float32(255)) ** rng.uniform(*settings.gamma) * rng.uniform(*settings.gain)
        lit = lit * np.exp(rng.normal(0, settings.tint, 3))
        if rng.random() < settings.pale:
            lit += (lit.mean(axis=2, keepdims=True) - lit) * rng.random()
        lit += rng.normal(0, rng.uniform(0, settings.noise), lit.shape)
        return np.asarray(np.clip(lit, 0, 255), np.uint8)


def mouths_of(person: Footage) -> npt.NDArray[np.uint8]:
    """Return every mouth of somebody as the service cuts it, (n, 40, 56, 3)."""
    return np.stack([mouth_crop(face, at) for face, at in zip(person.faces, person.points, strict=True)])
