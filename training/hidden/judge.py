"""How far the marking of hidden mouths is to be trusted: figures of people that were not trained on."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from app.faces.hidden import HIDDEN, HiddenFinder, Shares, hidden_mouths, lips_hidden
from training.hidden.faces import Footage
from training.hidden.scenes import Scene, SceneMaker
from training.hidden.settings import HiddenSettings

_FPS: Final = 25.0
"""About that of the clips."""
_SCENES: Final = 400
_LEAST_AREA: Final = 40
"""Pixels of an object from which a scene counts."""
_SEED: Final = 9
_MARKED: Final = 128
_HALF: Final = 0.5


@dataclass(frozen=True)
class HiddenFigures:
    """What was found on people held out; shares are those of the lips' ellipse."""

    overlap: float
    """Median intersection over union with drawn objects."""
    overlap_p10: float
    found: float
    """Share of the drawn objects over half of the lips or more by which a mouth would be called hidden."""
    bare: float
    """Median share over all frames with nothing before the face."""
    bare_p99: float
    worst_person: float
    """The highest 90th percentile of a person."""
    alarms: float
    """Share of those frames whose mouths would be called hidden."""
    smiles: float
    """Share of bare faces that are made to smile whose mouths would be called hidden."""
    smiles_p99: float


def judge_hidden(finder: HiddenFinder, people: list[Footage], settings: HiddenSettings) -> HiddenFigures:
    """Measure a finder on people who have nothing before their faces but what is drawn there."""
    shares = [shares_of(finder, person) for person in people]
    overlaps, found = _overlaps(finder, people, settings)
    smiles = _smiles(finder, people, settings)
    every = np.concatenate(shares)
    return HiddenFigures(
        overlap=float(np.median(overlaps)),
        overlap_p10=float(np.percentile(overlaps, 10)),
        found=found,
        bare=float(np.median(every)),
        bare_p99=float(np.percentile(every, 99)),
        worst_person=max(float(np.percentile(share, 90)) for share in shares),
        alarms=float(np.mean(np.concatenate([hidden_mouths(share, _FPS) for share in shares]))),
        smiles=float(np.mean(smiles > HIDDEN)),
        smiles_p99=float(np.percentile(smiles, 99)),
    )


def shares_of(finder: HiddenFinder, person: Footage) -> Shares:
    """Return the share of the lips that is found hidden in each frame."""
    pairs = zip(finder.cover(person.faces), person.points, strict=True)
    return np.array([lips_hidden(cover, points) for cover, points in pairs], np.float32)


def _overlaps(
    finder: HiddenFinder, people: list[Footage], settings: HiddenSettings
) -> tuple[list[float], float]:
    """Return the overlap with every drawn object, and the share of those over lips that are found."""
    scenes = [scene for scene in _scenes(people, settings) if scene.hidden.sum() >= _LEAST_AREA]
    overlaps, found = [], []
    for cover, scene in zip(finder.cover(scene.picture for scene in scenes), scenes, strict=True):
        true, marked = scene.hidden > 0, cover >= _MARKED
        overlaps.append(float((marked & true).sum() / (marked | true).sum()))
        if lips_hidden(255 * true.astype(np.uint8), scene.points) >= _HALF:
            found.append(lips_hidden(cover, scene.points) > HIDDEN)
    return overlaps, float(np.mean(found)) if found else float("nan")


def _smiles(finder: HiddenFinder, people: list[Footage], settings: HiddenSettings) -> Shares:
    scenes = _scenes(people, replace(settings, covered=0, smiles=1))
    pairs = zip(finder.cover(scene.picture for scene in scenes), scenes, strict=True)
    return np.array([lips_hidden(cover, scene.points) for cover, scene in pairs], np.float32)


def _scenes(people: list[Footage], settings: HiddenSettings) -> list[Scene]:
    maker, rng = SceneMaker(people, [], settings), np.random.default_rng(_SEED)
    return [maker.draw(rng) for _ in range(_SCENES)]


def as_text(figures: HiddenFigures) -> str:
    """Return the figures in words."""
    return (
        f"Overlap with drawn things: median {figures.overlap:.2f}, 10th percentile "
        f"{figures.overlap_p10:.2f}; found, if over half of the lips: {figures.found:.1%}. "
        f"Bare lips marked: median {figures.bare:.3f}, 99th percentile {figures.bare_p99:.2f}, "
        f"worst person's 90th {figures.worst_person:.2f}; called hidden: {figures.alarms:.1%} of frames. "
        f"Smiles called hidden: {figures.smiles:.1%}, 99th percentile {figures.smiles_p99:.2f}."
    )
