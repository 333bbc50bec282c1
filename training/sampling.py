"""Samples the moments of a batch: a frame, its audio window, and a reference from the same clip."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.audio.windows import WINDOW_COLUMNS, window_starts
from app.errors import InvalidRequest
from app.mouths.mesh import LEAST_PRESENCE
from training.cache import Cache, Span
from training.pack import FPS
from training.settings import TrainSettings
from training.shapes import ShapeTrack

Indices = npt.NDArray[np.int64]
"""int64 (n,): positions in the cache's arrays."""

LEAST_FRAMES: Final = 8
"""A shorter clip has no reference that differs from its frames."""
MARGIN_COLUMNS: Final = 4
"""Mel columns beyond a window on either side, so that it can be stretched."""
_WIDE: Final = WINDOW_COLUMNS + 2 * MARGIN_COLUMNS
_SIZE_POWER: Final = 0.6
"""A speaker with twice the footage is drawn 1.5 times as often."""
_UNSEEN: Final = 1000.0
"""What counts off the opening of a mouth whose mesh is not believed: it is taken only where all are such."""


@dataclass(frozen=True)
class Moments:
    """What a batch is made of."""

    frames: Indices
    references: Indices
    columns: Indices
    """First mel column of the widened window."""
    clips: Indices


class MomentSampler:
    """Draws moments, with the configured shares of sets, speakers and wide mouths."""

    def __init__(self, cache: Cache, spans: list[Span], track: ShapeTrack, settings: TrainSettings) -> None:
        """Prepare to draw from ``spans``, without those whose sound is not in sync.

        Raises InvalidRequest if no clip is left to draw from.
        """
        self.settings = settings
        usable = [span for span in spans if is_usable(span)]
        if not usable:
            raise InvalidRequest(
                f"None of the {len(spans)} clips to train on has {LEAST_FRAMES} frames and sound in sync: "
                "prepare more footage, or hold fewer speakers out."
            )
        self._targets = _Pools([self._drawable(span) for span in usable])
        self._references = _Pools([np.arange(span.start, span.start + span.frames) for span in usable])
        seen = np.asarray(cache.presence) > LEAST_PRESENCE
        self._wideness = np.where(seen, track.openings, track.openings - _UNSEEN)
        self._start, self._mel_start, self._mel_columns = (
            np.array([getattr(span, name) for span in usable], np.int64)
            for name in ("start", "mel_start", "mel_columns")
        )
        self._sync_offset = np.array([span.clip.sync_offset_frames for span in usable])
        self._cumulative = np.cumsum(_weights(usable, settings.set_weights))

    def draw(self, rng: np.random.Generator, count: int) -> Moments:
        """Draw ``count`` moments, ``per_clip`` of each clip."""
        per_clip = self.settings.per_clip
        picks = np.searchsorted(self._cumulative, rng.random(count // per_clip) * self._cumulative[-1])
        clips = np.repeat(picks, per_clip)
        frames = self._frames(rng, clips)
        references = self._references.draw(rng, clips)
        return Moments(frames, references, self._columns(frames, clips), clips)

    def _frames(self, rng: np.random.Generator, clips: Indices) -> Indices:
        """Half of the moments are drawn evenly, half are the widest mouth of three."""
        candidates = np.stack([self._targets.draw(rng, clips) for _ in range(3)])
        widest = np.where(rng.random(len(clips)) < 0.5, 0, self._wideness[candidates].argmax(axis=0))
        return np.asarray(candidates[widest, np.arange(len(clips))], np.int64)

    def _columns(self, frames: Indices, clips: Indices) -> Indices:
        starts = _starts(frames - self._start[clips], self._sync_offset[clips], self.settings)
        last = self._mel_columns[clips] - _WIDE
        return np.asarray(self._mel_start[clips] + starts.clip(0, last), np.int64)

    def _drawable(self, span: Span) -> Indices:
        """Return the frames to draw from: those whose window is all there, if there are any.

        The last 200 ms of a clip would get earlier audio, which teaches a network to open mouths too
        soon.
        """
        frames = np.arange(span.frames)
        starts = _starts(frames, np.array(span.clip.sync_offset_frames), self.settings)
        whole = frames[(starts >= 0) & (starts <= span.mel_columns - _WIDE)]
        return span.start + (whole if len(whole) else frames)


class _Pools:
    """For every clip the frames that one kind of draw takes from; draws of many clips at once."""

    def __init__(self, frames: list[Indices]) -> None:
        self._frames: Indices = np.concatenate(frames).astype(np.int64)
        self._sizes = np.array([len(pool) for pool in frames])
        self._first = np.cumsum(self._sizes) - self._sizes

    def draw(self, rng: np.random.Generator, clips: Indices) -> Indices:
        """Draw a frame for each of ``clips``."""
        places = self._first[clips] + (rng.random(len(clips)) * self._sizes[clips]).astype(np.int64)
        return np.asarray(self._frames[places], np.int64)


def _starts(frames: Indices, sync_offset: npt.NDArray[Any], settings: TrainSettings) -> Indices:
    """Return the first column of each frame's widened window, in the clip's own sound."""
    times = (frames + sync_offset) / FPS
    return np.asarray(window_starts(times, settings.mouth_offset_ms), np.int64) - MARGIN_COLUMNS


def is_usable(span: Span) -> bool:
    """Tell whether moments can be drawn of a clip: it is long enough, and its sound is in sync."""
    return span.frames >= LEAST_FRAMES and span.clip.synced and span.mel_columns >= _WIDE


def _weights(spans: list[Span], set_weights: dict[str, float]) -> npt.NDArray[np.float64]:
    """Return the weight of every clip: sets as they are asked for, speakers less than by their footage."""
    names = sorted({span.clip.set for span in spans})
    left = max(0.0, 1 - sum(set_weights.values()))
    unnamed = [name for name in names if name not in set_weights]
    shares = {name: set_weights.get(name, left / len(unnamed) if unnamed else 0.0) for name in names}
    if sum(shares.values()) <= 0:
        shares = dict.fromkeys(names, 1.0)
    footage: dict[tuple[str, str], int] = {}
    for span in spans:
        key = (span.clip.set, span.clip.group)
        footage[key] = footage.get(key, 0) + span.frames
    totals = {
        name: sum(frames**_SIZE_POWER for (owner, _), frames in footage.items() if owner == name)
        for name in names
    }
    return np.array(
        [
            shares[span.clip.set]
            * footage[span.clip.set, span.clip.group] ** (_SIZE_POWER - 1)
            * span.frames
            / totals[span.clip.set]
            for span in spans
        ]
    )
