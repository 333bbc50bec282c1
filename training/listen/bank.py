"""The moments that heads learn from: rows of features, and what the mouth did there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from app.audio.loudness import block_levels
from app.media.sound import SPEECH_RATE
from training.listen.features import Features, RowIndices
from training.listen.settings import ListenSettings
from training.listen.talks import FrameTimes, Talk
from training.listen.truth import Flags, Manner, openings_of, shapes_of
from training.networks.ear import AFTER, BEFORE, OPENING, OUTPUTS, SHAPES, SPEECH

Targets = npt.NDArray[np.float32]
"""float32 (n, 10): what is to be heard, in the network's order; speech is nan where it is not known."""

_OPENINGS: Final = (-0.3, 1.6)
"""Where openings are cut off, in ranges of the person."""
_AUDIBLE_DB: Final = 30.0
"""A tenth of a second that is less than this under the loudest is speech."""
_FUTURE: Final = 0.2
"""Seconds of sound after a frame that must be there: a clip that is cut in mid-speech is silent too early."""


@dataclass(frozen=True)
class Draw:
    """A batch: features (n, 17, dims) and targets (n, 10); the first ``clips * per_clip`` are of talks."""

    features: Tensor
    targets: Tensor


class Bank:
    """All frames to learn from, drawn clip by clip."""

    def __init__(
        self,
        talks: Sequence[Talk],
        indices: Sequence[int],
        manners: Mapping[str, Manner],
        span: float,
        copies: Sequence[Features],
        quiet: Features,
        settings: ListenSettings,
    ) -> None:
        """Prepare to draw from the talks at ``indices``; ``copies`` are features of all talks.

        ``span`` is the average range of the opening, to which shapes are brought.
        """
        self._settings, self._copies, self._quiet = settings, copies, quiet
        self._places: list[list[RowIndices]] = []
        self._targets: list[Targets] = []
        weights = []
        frames = Counter[str]()
        for index in indices:
            talk = talks[index]
            kept = talk.seen & heard_whole(talk)
            if kept.sum() < settings.per_clip:
                continue
            self._places.append([copy.places(index, talk.times[kept]) for copy in copies])
            self._targets.append(targets_of(talk, manners[talk.person], span)[kept])
            weights.append((talk.set, talk.person, int(kept.sum())))
            frames[talk.person] += int(kept.sum())
        self._cumulative = np.cumsum(_shares(weights, frames, settings.set_weights))
        self._silent = np.arange(BEFORE, len(quiet.rows) - AFTER)

    @property
    def is_empty(self) -> bool:
        """Whether no talk has enough frames that are seen and whose sound is there."""
        return not self._targets

    @property
    def dims(self) -> int:
        """Numbers in a row of features."""
        return int(self._quiet.rows.shape[1])

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draw a batch of talks, all from one copy of the sounds, and silences after them."""
        copy = int(rng.integers(len(self._copies)))
        picks = np.searchsorted(self._cumulative, rng.random(self._settings.clips) * self._cumulative[-1])
        chosen = [(pick, self._moments(rng, len(self._targets[pick]))) for pick in picks.tolist()]
        rows = np.concatenate([self._places[pick][copy][moments] for pick, moments in chosen])
        targets = np.concatenate([self._targets[pick][moments] for pick, moments in chosen])
        silent = rng.choice(self._silent, round(len(rows) * self._settings.silent_share))
        features = [_windows(self._copies[copy], rows), _windows(self._quiet, silent)]
        nothing = np.zeros((len(silent), OUTPUTS), np.float32)
        return Draw(torch.cat(features), torch.from_numpy(np.concatenate([targets, nothing])))

    def _moments(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """Return frames near to each other: they are compared with each other."""
        stretch = min(count, self._settings.stretch)
        first = int(rng.integers(count - stretch + 1))
        return first + rng.permutation(stretch)[: self._settings.per_clip]


def heard_whole(talk: Talk) -> Flags:
    """Tell of each frame whether the sound about it is there."""
    end = len(talk.samples) / SPEECH_RATE - _FUTURE
    return np.asarray((talk.times >= 0) & (talk.times <= end))


def targets_of(talk: Talk, manner: Manner, span: float) -> Targets:
    """Return what is to be heard at every frame of a talk."""
    targets = np.zeros((len(talk.times), OUTPUTS), np.float32)
    targets[:, OPENING] = openings_of(talk.mouths, manner).clip(*_OPENINGS)
    targets[:, SHAPES] = shapes_of(talk.mouths, manner, span)
    targets[:, SPEECH] = np.where(_audible(talk), 1.0, np.nan)
    return targets


def _audible(talk: Talk) -> Flags:
    levels = block_levels(talk.samples)
    places = np.clip((talk.times * 10).astype(int), 0, len(levels) - 1)
    return np.asarray(levels[places] > levels.max() * 10 ** (-_AUDIBLE_DB / 20))


def _windows(features: Features, rows: RowIndices) -> Tensor:
    around = rows[:, None] + np.arange(-BEFORE, AFTER + 1)
    return torch.from_numpy(features.rows[around.clip(0, len(features.rows) - 1)]).float()


def _shares(
    clips: list[tuple[str, str, int]], frames: Counter[str], weights: Mapping[str, float]
) -> FrameTimes:
    """Return how often each (set, person, frames) is drawn: people of a set by the root of their frames.

    A set without a weight gets what the others leave.
    """
    people = {(name, person) for name, person, _ in clips}
    roots = dict.fromkeys((name for name, _ in people), 0.0)
    for name, person in people:
        roots[name] += frames[person] ** 0.5
    unnamed = max(1.0 - sum(weights.get(name, 0.0) for name in roots), 0.0) or 1.0
    share = {name: weights.get(name, unnamed) / roots[name] for name in roots}
    return np.array([share[name] * frames[person] ** -0.5 * count for name, person, count in clips])
