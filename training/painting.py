"""Judges a painter on people that it was never trained on: told the true shape, does it paint the true mouth?

Hearing and choosing are left out. Every judged moment is painted onto two references of the same clip: a
mouth at rest, as in footage that never opens one, and one near in shape, as the service chooses.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch

from app.mouths.mesh import CropMesh, MeshPoints
from app.mouths.painter import FIRST_ROW, Painter, PaintShapes, Strokes
from app.mouths.points import RIGID_POINTS
from app.mouths.teeth import shown_teeth
from app.wav2lip.arrays import FaceCrops
from training import geometry
from training.cache import Cache, Span
from training.evaluate import with_margin
from training.journal import write_sheet
from training.measures import Apertures, apertures, sharpness, similarity
from training.networks.blocks import Tensor
from training.pack import CROP_SIZE
from training.references import Indices, References
from training.settings import TrainSettings
from training.shapes import ShapeTrack, measure_shapes

KINDS: Final = ("rest", "near")
MOST_FRAMES: Final = 24
"""Moments of a clip that are judged, evenly spread."""
LEAST_FRAMES: Final = 20
_FADE: Final = 8
"""Rows over which strokes give way to the head above them."""
_LIPS: Final = (slice(56, 94), slice(24, 72))
_OPEN: Final = 0.06
"""Aperture, in distances of the eyes, from which a mouth shows its inside."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Painted:
    """One clip, painted onto references of one kind."""

    span: Span
    truth: FaceCrops
    references: FaceCrops
    made: FaceCrops


@dataclass(frozen=True)
class PaintScores:
    """What was measured over the clips of one set and one kind of reference."""

    clips: int
    frames: int
    follow: float
    """Correlation of the aperture with the true one, each against its clip's mean, pooled."""
    spread: float
    """Deviation of the aperture over the true one's."""
    sharpness: float
    teeth: float
    """Bright teeth in open mouths over those of the truth."""
    dark: float
    """Brightness of the darkest tenth of open mouths over that of the truth."""
    colour: float
    """Difference of the mouth's mean colour from the truth's, CIELAB."""
    similarity: float
    error: float
    """Mean absolute difference of the mouth's pixels, of 255."""
    lent: float
    """The same of the references, with nothing done to them."""


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
    scores = {name: _score(members) for name, members in sorted(takes.items())}
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
        order = np.argsort(_opened(take.truth, take.span)[0])
        for place, quantile in enumerate((1.0, 0.7, 0.1)):
            moment = int(order[round(quantile * (len(order) - 1))])
            for offset, pictures in enumerate((take.references, take.made, take.truth)):
                columns[3 * place + offset].append(pictures[moment])
    write_sheet(path, [np.stack(column) for column in columns], zoom=2)


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


def _opened(faces: FaceCrops, span: Span) -> tuple[Apertures, MeshPoints]:
    points, _ = CropMesh().fit(with_margin(faces), span.clip.aspect)
    return apertures(points, span.clip.aspect), points


def _score(takes: Sequence[Painted]) -> PaintScores:
    true, made, teeth, dark = [], [], [], []
    for take in takes:
        (opened, points), (opening, made_points) = (_opened(x, take.span) for x in (take.truth, take.made))
        true.append(opened - opened.mean())
        made.append(opening - opening.mean())
        wide = opened > _OPEN
        aspect = take.span.clip.aspect
        pairs = ((take.truth, points), (take.made, made_points))
        teeth.append([shown_teeth(list(with_margin(x)[wide]), mesh[wide], aspect).sum() for x, mesh in pairs])
        dark.append([_darkest(x[wide]) for x in (take.truth, take.made)])
    one, other = np.concatenate(true), np.concatenate(made)
    truth, result, references = (
        np.concatenate([getattr(take, name) for take in takes]) for name in ("truth", "made", "references")
    )
    shown, inside = np.sum(teeth, axis=0), np.sum(dark, axis=0)
    return PaintScores(
        clips=len(takes),
        frames=len(one),
        follow=float(np.corrcoef(one, other)[0, 1]),
        spread=float(other.std() / max(one.std(), 1e-9)),
        sharpness=sharpness(result, truth),
        teeth=float(shown[1] / max(shown[0], 1e-9)),
        dark=float(inside[1] / max(inside[0], 1e-9)),
        colour=float(np.linalg.norm(_lab(result) - _lab(truth), axis=1).mean()),
        similarity=similarity(result, truth),
        error=_apart(result, truth),
        lent=_apart(references, truth),
    )


def _darkest(faces: FaceCrops) -> float:
    gray = faces[:, _LIPS[0], _LIPS[1]].mean(axis=3)
    return float(np.quantile(gray, 0.1, axis=(1, 2)).sum()) if len(faces) else 0.0


def _lab(faces: FaceCrops) -> npt.NDArray[np.float64]:
    mouths = faces[:, _LIPS[0], _LIPS[1]].astype(np.float32) / np.float32(255)
    lab = [cv2.cvtColor(mouth, cv2.COLOR_BGR2LAB).mean(axis=(0, 1)) for mouth in mouths]
    return np.array(lab, np.float64)


def _apart(one: FaceCrops, other: FaceCrops) -> float:
    parts = (faces[:, _LIPS[0], _LIPS[1]].astype(np.float32) for faces in (one, other))
    return float(np.abs(next(parts) - next(parts)).mean())
