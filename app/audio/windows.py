"""The stretch of sound that each video frame is rendered from: a window of 16 mel columns.

The window of a frame shown at time ``t`` starts at column ``80 (t - offset)``, rounded to the nearest.
Outside the sound every column is silence, so the first and last frames have complete windows too.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.mel import (
    BANDS,
    COLUMNS_PER_SECOND,
    FFT_SIZE,
    HOP,
    SILENCE,
    MelSpectrogram,
    Signal,
    mel_columns,
    pre_emphasis,
)
from app.media.sound import Sound

MelWindows = npt.NDArray[np.float32]
"""float32 (frames, 80, 16), -4..4: one window a frame, as Wav2Lip takes it."""

FrameTimes = npt.NDArray[np.float64]
"""float64 (frames,): the times, in seconds, at which frames are shown."""

WindowStarts = npt.NDArray[np.int64]
"""int64 (frames,): the mel column at which each frame's window begins; may lie outside the sound."""

WINDOW_COLUMNS: Final = 16


def window_starts(frame_times: FrameTimes, offset_ms: float) -> WindowStarts:
    """Return the first column of each frame's window; a positive offset makes the mouth move later."""
    return np.rint(COLUMNS_PER_SECOND * (frame_times - offset_ms / 1000)).astype(np.int64)


class MelTrack:
    """The mel windows of one sound, computed for the frames that are asked for and forgotten again."""

    def __init__(self, sound: Sound) -> None:
        self._sound = sound
        self._samples = max(sound.speech_samples, FFT_SIZE)
        self.columns = 1 + self._samples // HOP

    def windows(self, frame_times: FrameTimes, offset_ms: float) -> MelWindows:
        """Return the windows of frames shown at ``frame_times``, which should be near to each other.

        Memory and work are in proportion to the time between the first and the last. ``offset_ms`` is that of
        :func:`window_starts`.
        """
        if not len(frame_times):
            return np.empty((0, BANDS, WINDOW_COLUMNS), np.float32)
        starts = window_starts(frame_times, offset_ms)
        first = int(starts.min())
        columns = self._columns(first, int(starts.max()) + WINDOW_COLUMNS)
        every = np.lib.stride_tricks.sliding_window_view(columns, WINDOW_COLUMNS, axis=1)
        return np.ascontiguousarray(every[:, starts - first].transpose(1, 0, 2))

    def _columns(self, start: int, stop: int) -> MelSpectrogram:
        """Return columns ``start`` to ``stop``, silence outside of the sound."""
        columns = np.full((BANDS, stop - start), SILENCE, np.float32)
        first, last = max(start, 0), min(stop, self.columns)
        if first < last:
            begin = first * HOP - FFT_SIZE // 2
            end = (last - 1) * HOP + FFT_SIZE // 2
            columns[:, first - start : last - start] = mel_columns(self._emphasized(begin, end))
        return columns

    def _emphasized(self, begin: int, end: int) -> Signal:
        """Return pre-emphasised samples ``begin`` to ``end`` of the sound reflected at its two ends."""
        indices = np.abs(np.arange(begin, end))
        indices = np.minimum(indices, 2 * (self._samples - 1) - indices)
        low, high = int(indices.min()), int(indices.max()) + 1
        read = self._sound.read_speech(low - 1, high)
        signal = np.zeros(high - max(low - 1, 0))
        signal[: len(read)] = read
        emphasized = pre_emphasis(signal[1:], signal[0]) if low else pre_emphasis(signal, 0.0)
        reflected: Signal = emphasized[indices - low]
        return reflected
