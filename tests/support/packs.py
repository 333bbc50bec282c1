"""Small packs for training tests, made by code."""

import json
from pathlib import Path

import cv2
import numpy as np

from app.faces.face_mesh import POINTS
from app.faces.head import RIGID_POINTS
from app.media.frames import BgrImage
from app.mouths.points import (
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    SPEECH_POINTS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from app.mouths.space import shape_space
from app.mouths.teeth import ShownTeeth
from tests.support.clips import portrait, speech_like
from training.cache import Cache, Span
from training.clip_writer import write_clip
from training.pack import CROP_SIZE, Clip

_FACE = (slice(28, 198), slice(160, 290))
"""The portrait's face with the margin of a pack."""


def face_crop(shift: int = 0) -> BgrImage:
    """Return the portrait as a pack shows it, moved down by ``shift`` pixels; uint8 (128, 128, 3)."""
    rows, columns = _FACE
    part = portrait()[rows.start + shift : rows.stop + shift, columns]
    return np.asarray(cv2.resize(part, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def write_pack(folder: Path, clips: int = 3, frames: int = 24, *, sound: bool = True) -> Path:
    """Write a pack of as many speakers as clips, all of them the portrait; return its folder."""
    folder.mkdir(parents=True)
    entries = []
    for index in range(clips):
        name = f"clip{index}.mp4"
        speech = speech_like(frames / 25, seed=index) if sound else None
        write_clip(folder / name, [face_crop((index + k) % 4) for k in range(frames)], speech)
        entries.append(
            {
                "file": name,
                "group": f"speaker{index}",
                "set": "made",
                "frames": frames,
                "face_w": 100.0,
                "face_h": 131.0,
                "audio": sound,
                "sync_offset_frames": 0,
                "licence": "public domain",
            }
        )
    (folder / "index.json").write_text(json.dumps({"clips": entries}))
    return folder


def drawn_cache(
    openings: list[list[float]], *, yaw: float = 0.0, teeth: tuple[float, float] = (0.0, 0.0)
) -> Cache:
    """Return a cache without pictures: a drawn face per number, lips that far apart, turned by ``yaw``."""
    mesh = np.concatenate([np.stack([_drawn_mesh(gap, yaw) for gap in clip]) for clip in openings])
    spans, start = [], 0
    for index, clip in enumerate(openings):
        about = Clip(f"{index}.mp4", f"speaker{index}", "drawn", len(clip), 100, 100, audio=True)
        spans.append(Span(about, start, len(clip), 100 * index, 100))
        start += len(clip)
    return Cache(
        spans=tuple(spans),
        frames=np.zeros((start, 1, 1, 3), np.uint8),
        mel=np.zeros((100 * len(openings), 80), np.float16),
        mesh=mesh.astype(np.float32),
        presence=np.full(start, 40, np.float32),
        teeth=_growing(openings, teeth),
        left_out={},
    )


def _growing(openings: list[list[float]], teeth: tuple[float, float]) -> ShownTeeth:
    """Return teeth that show the more the wider a mouth is open: as much as is said where the gap is 0.1."""
    gaps = np.array([gap - min(clip) for clip in openings for gap in clip])
    return np.asarray(np.outer(gaps / 0.1, teeth) + 0.2, np.float32)


def _drawn_mesh(gap: float, yaw: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rng = np.random.default_rng(1)
    points = np.zeros((POINTS, 3))
    points[list(RIGID_POINTS)] = 0.2 * shape_space().front
    points[list(SPEECH_POINTS)] = rng.uniform(-0.1, 0.1, (len(SPEECH_POINTS), 3))
    points[list(SPEECH_POINTS), 1] += 0.4
    line = np.linspace(-0.1, 0.1, len(UPPER_LIP_INNER))
    for row, height in (
        (UPPER_LIP_OUTER, 0.28),
        (UPPER_LIP_INNER, 0.3),
        (LOWER_LIP_INNER, 0.3 + gap),
        (LOWER_LIP_OUTER, 0.32 + gap),
    ):
        points[list(row)] = np.stack([line, np.full_like(line, height), np.zeros_like(line)], axis=1)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    return np.asarray(points @ turn * 0.5 + 0.5)
