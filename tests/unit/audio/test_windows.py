from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app.audio.mel import mel_spectrogram
from app.audio.windows import FrameTimes, MelTrack, MelWindows, window_starts
from app.media.sound import Sound, SpeechSamples
from app.media.timing import frame_count
from tests.support.clips import speech_like

FAR = 100


def _sound(folder: Path, samples: SpeechSamples) -> Sound:
    path = folder / "speech.f32"
    samples.astype("<f4").tofile(path)
    return Sound("", str(path), 16000, 1, "mono", len(samples), len(samples), len(samples) / 16000)


def _times(seconds: float, fps: Fraction) -> FrameTimes:
    return np.arange(frame_count(seconds, fps)) / float(fps)


def _sliced(samples: SpeechSamples, times: FrameTimes, offset_ms: float) -> MelWindows:
    """Return the windows cut out of the mel of the whole signal, padded with silence."""
    mel = np.pad(mel_spectrogram(samples), ((0, 0), (FAR, FAR)), constant_values=-4)
    return np.stack([mel[:, FAR + s : FAR + s + 16] for s in window_starts(times, offset_ms)])


@pytest.mark.parametrize("offset_ms", [0.0, 40.0, -120.0, 700.0])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0, 3.3])
def test_windows_equal_slices_of_the_whole_mel(
    tmp_path: Path, seconds: float, fps: Fraction, offset_ms: float
) -> None:
    samples, times = speech_like(seconds), _times(seconds, fps)

    windows = MelTrack(_sound(tmp_path, samples)).windows(times, offset_ms)

    assert windows.shape == (len(times), 80, 16)
    assert windows.dtype == np.float32
    np.testing.assert_allclose(windows, _sliced(samples, times, offset_ms), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_windows_do_not_depend_on_the_batches_they_are_asked_in(tmp_path: Path, batch: int) -> None:
    samples, times = speech_like(2.0), _times(2.0, Fraction(25))
    track = MelTrack(_sound(tmp_path, samples))

    parts = [track.windows(times[i : i + batch], 40.0) for i in range(0, len(times), batch)]

    np.testing.assert_allclose(np.concatenate(parts), track.windows(times, 40.0), rtol=0, atol=1e-5)


def test_windows_of_frames_in_any_order(tmp_path: Path) -> None:
    samples, times = speech_like(1.0), _times(1.0, Fraction(25))
    track = MelTrack(_sound(tmp_path, samples))

    np.testing.assert_array_equal(track.windows(times[::-1], 0)[::-1], track.windows(times, 0))


def test_outside_the_sound_there_is_silence(tmp_path: Path) -> None:
    track = MelTrack(_sound(tmp_path, speech_like(1.0)))

    windows = track.windows(np.array([-5.0, 0.0, 0.95, 1.5]), 40.0)

    assert (windows[0] == -4).all()
    assert (windows[1, :, :3] == -4).all(), "40 ms are 3.2 columns"
    assert (windows[1, :, 3] != -4).any()
    assert (windows[2, :, 8:] == -4).all(), "the sound has 81 columns; the window begins at 73"
    assert (windows[3] == -4).all()


def test_a_silent_sound_gives_silence(tmp_path: Path) -> None:
    windows = MelTrack(_sound(tmp_path, np.zeros(16000, np.float32))).windows(_times(1.0, Fraction(25)), 40.0)

    assert (windows == -4).all()


def test_no_frames_give_no_windows(tmp_path: Path) -> None:
    windows = MelTrack(_sound(tmp_path, speech_like(0.1))).windows(np.empty(0), 0.0)

    assert windows.shape == (0, 80, 16)


def test_windows_start_at_the_nearest_column_and_a_positive_offset_reads_earlier_sound() -> None:
    times = np.array([0.0, 0.04, 0.08, 1.0])

    assert window_starts(times, 0).tolist() == [0, 3, 6, 80]
    assert window_starts(times, 40).tolist() == [-3, 0, 3, 77]
    assert window_starts(times, -40).tolist() == [3, 6, 10, 83]


def test_only_the_sound_that_is_needed_is_read(tmp_path: Path) -> None:
    reads: list[int] = []

    class Watched(Sound):
        def read_speech(self, start: int, stop: int) -> SpeechSamples:
            samples = super().read_speech(start, stop)
            reads.append(len(samples))
            return samples

    sound = _sound(tmp_path, speech_like(30.0))
    watched = Watched(**vars(sound))

    MelTrack(watched).windows(np.arange(250, 258) / 25, 40.0)

    assert sum(reads) < 0.6 * 16000
