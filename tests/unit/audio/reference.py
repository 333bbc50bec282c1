"""The spectrograms of Wav2Lip and Whisper in float64 numpy, without librosa: what ours are compared with."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def reference_mel(samples: npt.ArrayLike) -> Array:
    """Return the mel spectrogram, (80, columns), of at least 800 samples at 16 kHz."""
    signal = np.asarray(samples, np.float64)
    emphasized = signal.copy()
    emphasized[1:] -= 0.97 * signal[:-1]
    spectrum = magnitudes(np.pad(emphasized, 400, mode="reflect"), 800, 200)
    decibels = 20 * np.log10(np.maximum(1e-5, slaney_filters(55.0, 7600.0, 401) @ spectrum)) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)


def reference_log_mel(samples: npt.ArrayLike) -> Array:
    """Return the log-mel that Whisper hears, (80, columns), of samples at 16 kHz."""
    power = magnitudes(np.pad(np.asarray(samples, np.float64), 200), 400, 160) ** 2
    return (np.log10(np.maximum(slaney_filters(0.0, 8000.0, 201) @ power, 1e-7)) + 4) / 4


def magnitudes(padded: Array, width: int, hop: int) -> Array:
    """Return the spectrum under a periodic Hann window, (width // 2 + 1, columns)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    columns = range(0, len(padded) - width + 1, hop)
    return np.abs(np.stack([np.fft.rfft(window * padded[c : c + width]) for c in columns], axis=1))


def slaney_filters(low: float, high: float, bins: int) -> Array:
    """Return 80 triangles of unit area from ``low`` to ``high`` Hz, evenly spaced in mel, (80, bins)."""
    edges = _hertz(np.linspace(_mel(low), _mel(high), 82))
    frequencies = np.linspace(0, 8000, bins)
    filters = np.zeros((80, bins))
    for band in range(80):
        left, centre, right = edges[band : band + 3]
        rising = (frequencies - left) / (centre - left)
        falling = (right - frequencies) / (right - centre)
        filters[band] = np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)
    return filters


def _mel(hertz: float) -> float:
    """Slaney: linear (3 mel for 200 Hz) up to 1000 Hz, logarithmic (27 mel for a factor of 6.4) above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: Array) -> Array:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
