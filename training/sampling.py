"""Which moments make a batch: a frame, the sound of that time, and a reference from the same clip."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.windows import WINDOW_COLUMNS, window_starts
from app.errors import InvalidRequest
from training.cache import Cache, Span
from training.mesh import LEAST_PRESENCE
from training.pack import FPS
from training.settings import TrainSettings
from training.shapes import ShapeTrack, smiling

Indices = npt.NDArray[np.int64]
"""int64 (n,): positions in the cache's arrays."""

LEAST_FRAMES: Final = 8
"""A shorter clip has no reference that differs from its frames."""
MARGIN_COLUMNS: Final = 4
"""Mel columns beyond a window on either side, so that it can be stretched."""
_WIDE: Final = WINDOW_COLUMNS + 2 * MARGIN_COLUMNS
_REFERENCE_SHARE: Final = 6
"""Closed-mouth references are drawn from this part of a clip's frames."""
_SIZE_POWER: Final = 0.6
"""A speaker with twice the footage is drawn 1.5 times as often."""


@dataclass(frozen=True)
class Moments:
    """What a batch is made of."""

    frames: Indices
    references: Indices
    columns: Indices
    """First mel column of the widened window; -1 for a clip without sound."""
    clips: Indices


class MomentSampler:
    """Draws moments; sets, speakers and wide mouths in the shares that training wants."""

    def __init__(
        self, cache: Cache, spans: list[Span], track: ShapeTrack, settings: TrainSettings, *, need_sync: bool
    ) -> None:
        """Prepare to draw from ``spans``; ``need_sync`` leaves out clips without sound in sync.

        Raises InvalidRequest if no clip is left to draw from.
        """
        self._cache, self._openings, self.settings = cache, track.openings, settings
        self._smiling = smiling(track)
        self._spans = [span for span in spans if is_usable(span, need_sync=need_sync)]
        if not self._spans:
            wanted = f"{LEAST_FRAMES} frames" + (" and sound in sync" if need_sync else "")
            raise InvalidRequest(
                f"None of the {len(spans)} clips to train on has {wanted}: prepare more footage, or hold "
                "fewer speakers out."
            )
        self._frames = [self._drawable(span, need_sync=need_sync) for span in self._spans]
        self._cumulative = np.cumsum(_weights(self._spans, settings.set_weights))

    def draw(self, rng: np.random.Generator, count: int) -> Moments:
        """Draw ``count`` moments, ``per_clip`` of each clip."""
        per_clip = self.settings.per_clip
        picks = np.searchsorted(self._cumulative, rng.random(count // per_clip) * self._cumulative[-1])
        rows = [self._moment(rng, self._spans[pick], int(pick)) for pick in picks for _ in range(per_clip)]
        frames, references, columns, clips = (
            np.array(column, np.int64) for column in zip(*rows, strict=True)
        )
        return Moments(frames, references, columns, clips)

    def _moment(self, rng: np.random.Generator, span: Span, clip: int) -> tuple[int, int, int, int]:
        frame = self._frame(rng, span, self._frames[clip])
        reference = self._reference(rng, span)
        return span.start + frame, span.start + reference, self._column(span, frame), clip

    def _reference(self, rng: np.random.Generator, span: Span) -> int:
        own = slice(span.start, span.start + span.frames)
        if rng.random() < self.settings.closed_references:
            closed = np.argsort(self._openings[own])[: max(2, span.frames // _REFERENCE_SHARE)]
            return int(rng.choice(closed))
        smiles = np.flatnonzero(self._smiling[own])
        if len(smiles) and rng.random() < self.settings.smiling_references:
            return int(rng.choice(smiles))
        return int(rng.integers(span.frames))

    def _frame(self, rng: np.random.Generator, span: Span, drawable: range) -> int:
        """Half of the moments are drawn evenly, half are the widest mouth of three."""
        candidates = rng.integers(drawable.start, drawable.stop, 1 if rng.random() < 0.5 else 3)
        seen = self._cache.presence[span.start + candidates] > LEAST_PRESENCE
        usable = candidates[seen] if seen.any() else candidates
        return int(usable[np.argmax(self._openings[span.start + usable])])

    def _drawable(self, span: Span, *, need_sync: bool) -> range:
        """Return the frames to draw from.

        Where sound matters, those whose window is all there: the last 200 ms of a clip would be shown an
        earlier sound, from which a network learns to open mouths too soon.
        """
        starts = self._starts(span, np.arange(span.frames))
        whole = np.flatnonzero((starts >= 0) & (starts <= span.mel_columns - _WIDE))
        if not need_sync or not len(whole):
            return range(span.frames)
        return range(int(whole[0]), int(whole[-1]) + 1)

    def _column(self, span: Span, frame: int) -> int:
        if span.mel_columns < _WIDE:
            return -1
        start = int(self._starts(span, np.array([frame]))[0])
        return span.mel_start + min(max(start, 0), span.mel_columns - _WIDE)

    def _starts(self, span: Span, frames: Indices) -> Indices:
        """Return the first column of each frame's widened window, in the clip's own sound."""
        times = (frames + span.clip.sync_offset_frames) / FPS
        return np.asarray(window_starts(times, self.settings.mouth_offset_ms), np.int64) - MARGIN_COLUMNS


def is_usable(span: Span, *, need_sync: bool) -> bool:
    """Tell whether moments can be drawn of a clip: it is long enough, and its sound is in sync if need be."""
    has_sound = span.clip.synced and span.mel_columns >= _WIDE
    return span.frames >= LEAST_FRAMES and (has_sound or not need_sync)


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
