"""Judges a painter on people that it was never trained on: told the true shape, does it paint the true mouth?

Hearing and choosing are left out. Every judged moment is painted onto two references of the same clip: a
mouth at rest, as in footage that never opens one, and one near in shape, as the service chooses.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor

from app.mouths.painter import FIRST_ROW, Painter, PaintShapes, Strokes
from app.mouths.points import RIGID_POINTS
from app.wav2lip.arrays import FaceCrops
from training import geometry
from training.cache import Cache, Span
from training.journal import write_sheet
from training.pack import CROP_SIZE
from training.paint_scores import Painted, PaintScores, opened, score
from training.references import Indices, References
from training.settings import TrainSettings
from training.shapes import ShapeTrack, measure_shapes

KINDS: Final = ("rest", "near")
MOST_FRAMES: Final = 24
"""Moments of a clip that are judged, evenly spread."""
LEAST_FRAMES: Final = 20
_FADE: Final = 8
"""Rows over which strokes give way to the head above them."""

Progress = Callable[[int, int], None]


def judge_painter(
    painter: Painter,
    cache: Cache,
    spans: Sequence[Span],
    settings: TrainSettings,
    progress: Progress | None = None,
) -> tuple[dict[str, PaintScores], dict[str, list[Painted]]]:
    """Paint the moments of ``spans``; return by set and kind the scores, and what was painted."""
    track = measure_shapes(cache)
    takes: dict[str, list[Painted]] = defaultdict(list)
    for done, span in enumerate(spans, start=1):
        for kind in KINDS:
            takes[f"{span.clip.set}-{kind}"].append(_painted(painter, cache, track, span, settings, kind))
        if progress:
            progress(done, len(spans))
    scores = {name: score(members) for name, members in sorted(takes.items())}
    return scores, dict(takes)


def paintable(spans: Sequence[Span], per_speaker: int) -> list[Span]:
    """Return the clips that are long enough to judge on, at most ``per_speaker`` of each speaker."""
    chosen: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.frames >= LEAST_FRAMES and len(chosen[span.clip.group]) < per_speaker:
            chosen[span.clip.group].append(span)
    return [span for own in chosen.values() for span in own]


def write_paint_sheet(path: Path, takes: Sequence[Painted]) -> None:
    """Write a contact sheet, a row a take.

    For its widest, a middle and its most closed moment the reference, what was made of it, and the truth.
    """
    columns: list[list[Any]] = [[] for _ in range(9)]
    for take in takes:
        order = np.argsort(opened(take.truth, take.span)[0])
        for place, quantile in enumerate((1.0, 0.7, 0.1)):
            moment = int(order[round(quantile * (len(order) - 1))])
            for offset, pictures in enumerate((take.references, take.made, take.truth)):
                columns[3 * place + offset].append(pictures[moment])
    write_sheet(path, [np.stack(column) for column in columns], zoom=2)


def as_table(scores: dict[str, PaintScores]) -> str:
    """Return the scores as a Markdown table with a column for each."""
    rows = ["| | " + " | ".join(scores) + " |", "|---" * (len(scores) + 1) + "|"]
    for name in asdict(next(iter(scores.values()))):
        values = [getattr(one, name) for one in scores.values()]
        cells = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in values)
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def lay(strokes: Strokes, crops: FaceCrops, references: FaceCrops) -> FaceCrops:
    """Return ``crops`` (n, 96, 96, 3) with the strokes laid on, as the service does on larger pictures."""
    rows, columns = np.mgrid[FIRST_ROW : crops.shape[1], : crops.shape[2]].astype(np.float32)
    fade = np.clip(np.arange(len(rows)) / _FADE, 0, 1)[:, None, None]
    made = crops.copy()
    for k, reference in enumerate(references):
        warped = cv2.remap(
            reference.astype(np.float32),
            columns + strokes.flow[k, 0],
            rows + strokes.flow[k, 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        painted = warped * strokes.shown[k, 0, :, :, None] + 255 * strokes.added[k].transpose(1, 2, 0)
        kept = made[k, FIRST_ROW:].astype(np.float32)
        made[k, FIRST_ROW:] = np.clip(np.rint(kept + fade * (painted - kept)), 0, 255)
    return made


def _painted(
    painter: Painter, cache: Cache, track: ShapeTrack, span: Span, settings: TrainSettings, kind: str
) -> Painted:
    count = min(span.frames, MOST_FRAMES)
    frames = span.start + np.linspace(0, span.frames - 1, count).astype(np.int64)
    chances = {"near": (1.0, 0.0), "rest": (0.0, 1.0)}[kind]
    chosen = replace(settings, near_references=chances[0], rest_references=chances[1])
    drawing = References([span], track, chosen)
    lent = drawing.draw(np.random.default_rng(span.start), frames, np.zeros(count, np.int64))
    truth, references = _faces(cache, frames, lent, settings)
    shapes = track.shapes
    told: PaintShapes = np.concatenate([shapes[frames] - shapes[lent], shapes[lent]], axis=1)
    made = lay(painter.paint(told, truth, references), truth, references)
    return Painted(span, truth, references, made)


def _faces(
    cache: Cache, frames: Indices, lent: Indices, settings: TrainSettings
) -> tuple[FaceCrops, FaceCrops]:
    """Return the true faces, and the references laid onto their heads."""
    here, there = (_still_points(cache, rows) for rows in (frames, lent))
    view = geometry.random_views(len(frames), torch.Generator(), settings.views, augment=False)
    placing = geometry.alignments(here, there)
    pictures = []
    for rows, maps in ((frames, view), (lent, geometry.chain(view, placing))):
        crops = torch.from_numpy(np.stack([cache.frames[row] for row in rows])).permute(0, 3, 1, 2).float()
        faces = geometry.sample(crops, maps).permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy()
        pictures.append(np.ascontiguousarray(faces))
    return pictures[0], pictures[1]


def _still_points(cache: Cache, rows: Indices) -> Tensor:
    mesh = np.asarray(cache.mesh[rows][:, RIGID_POINTS, :2], np.float32)
    return torch.from_numpy(mesh * np.float32(CROP_SIZE) - np.float32(0.5))
