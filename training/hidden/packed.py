"""Aligned lower faces out of a decoded pack: more people, more of them who smile, at a lower resolution."""

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from app.faces.hidden import CROP_SIZE, alignment, in_crop
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.mouths.mesh import LEAST_PRESENCE
from training.cache import Cache, Span, open_cache
from training.hidden.faces import Footage
from training.pack import load_pack
from training.split import HeldOut


def pack_footage(pack: Path, runs: Path, held_out: HeldOut, frames_each: int) -> list[Footage]:
    """Return the faces of a pack's people, but for those whom the recipe holds out of everything."""
    cache = open_cache(load_pack(pack), runs / "cache")
    kept, _ = held_out.split(cache.spans)
    return packed_footage(cache, kept, frames_each)


def packed_footage(cache: Cache, spans: list[Span], frames_each: int) -> list[Footage]:
    """Return up to ``frames_each`` faces of every speaker of ``spans``, from all over their clips."""
    by_speaker: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for span in spans:
        rows = range(span.start, span.start + span.frames)
        by_speaker[span.clip.group] += [
            (row, span.clip.aspect) for row in rows if cache.presence[row] >= LEAST_PRESENCE
        ]
    return [_spread(cache, name, rows, frames_each) for name, rows in sorted(by_speaker.items()) if rows]


def _spread(cache: Cache, name: str, rows: list[tuple[int, float]], most: int) -> Footage:
    picked = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)).tolist()
    cut = [_cut(cache, *rows[index]) for index in picked]
    return Footage(name, np.stack([face for face, _ in cut]), np.stack([points for _, points in cut]))


def _cut(cache: Cache, row: int, aspect: float) -> tuple[BgrImage, FaceLandmarks]:
    """Return an aligned face and its points; the pack's crops are squeezed by ``aspect``."""
    crop = np.asarray(cache.frames[row])
    squeezed = cache.mesh[row, :, :2].astype(np.float32) * len(crop) - 0.5
    landmarks: FaceLandmarks = (squeezed * (aspect, 1.0)).astype(np.float32)
    affine = alignment(landmarks)
    face = cv2.warpAffine(
        crop,
        affine / [[aspect], [1.0]],
        (CROP_SIZE, CROP_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(face, np.uint8), in_crop(affine, landmarks)
