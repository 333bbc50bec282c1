"""Audio delay of a video: the lag at which the mouth's opening best follows the loudness."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.mel import COLUMNS_PER_SECOND, MelSpectrogram
from training.pack import FPS

Curve = npt.NDArray[np.float64]
"""float64 (frames,): a value for every frame at 25 frames a second, nan where there is none."""

MAX_LAG: Final = 10
"""Frames searched on either side."""
LEAST_CORRELATION: Final = 0.3
LEAST_FRAMES: Final = 25
"""Evidence below which a clip is not learned speech from: as the best correlation of at least a second."""

_VOICE_BANDS: Final = slice(5, 50)
"""Mel bands of roughly 200 to 3500 Hz."""


@dataclass(frozen=True)
class SyncEstimate:
    """``offset`` in frames, above 0 if the sound is late, and the correlation there."""

    offset: float
    correlation: float

    @property
    def is_evident(self) -> bool:
        """Whether the mouth was seen to move with the sound."""
        return self.correlation >= LEAST_CORRELATION


def estimate_sync(openings: Curve, mel: MelSpectrogram) -> SyncEstimate:
    """Compare the openings of a mouth (nan: no face) with the loudness of a mel (80, columns)."""
    loudness = _loudness(mel, len(openings))
    lags = np.arange(-MAX_LAG, MAX_LAG + 1)
    scores = np.array([_correlation(openings, loudness, int(lag)) for lag in lags])
    best = int(scores.argmax())
    offset = float(lags[best])
    if 0 < best < len(lags) - 1:
        before, peak, after = scores[best - 1 : best + 2]
        bend = before - 2 * peak + after
        offset += float(0.5 * (before - after) / bend) if bend < 0 else 0.0
    return SyncEstimate(offset, float(scores[best]))


def _loudness(mel: MelSpectrogram, frames: int) -> Curve:
    """Return the loudness at the middle of each frame's mel window, averaged over a tenth of a second."""
    level = mel[_VOICE_BANDS].mean(axis=0, dtype=np.float64)
    smooth = np.convolve(np.pad(level, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")
    columns = np.arange(frames) * COLUMNS_PER_SECOND / FPS + 8
    loudness: Curve = np.interp(columns, np.arange(len(smooth)), smooth)
    return loudness


def _correlation(openings: Curve, loudness: Curve, lag: int) -> float:
    """Return the correlation of frame t with the loudness at t + lag."""
    count = len(openings) - abs(lag)
    mouth, voice = openings[max(0, -lag) :][:count], loudness[max(0, lag) :][:count]
    seen = np.isfinite(mouth)
    if seen.sum() < LEAST_FRAMES:
        return 0.0
    mouth, voice = mouth[seen] - mouth[seen].mean(), voice[seen] - voice[seen].mean()
    scale = float(np.sqrt((mouth @ mouth) * (voice @ voice)))
    return float(mouth @ voice) / scale if scale > 1e-9 else 0.0
