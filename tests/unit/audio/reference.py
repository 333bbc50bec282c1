"""Wav2Lip's mel spectrogram written out in float64 numpy, without librosa: what ours is compared with."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def reference_mel(samples: npt.ArrayLike) -> Array:
    """Return the mel spectrogram, (80, columns), of at least 800 samples at 16 kHz."""
    signal = np.asarray(samples, np.float64)
    emphasized = signal.copy()
    emphasized[1:] -= 0.97 * signal[:-1]
    padded = np.concatenate([emphasized[400:0:-1], emphasized, emphasized[-2:-402:-1]])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    columns = range(0, len(padded) - 799, 200)
    spectrum = np.abs(np.stack([np.fft.rfft(window * padded[c : c + 800]) for c in columns], axis=1))
    decibels = 20 * np.log10(np.maximum(1e-5, slaney_filters() @ spectrum)) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)


def slaney_filters() -> Array:
    """Return 80 triangles of unit area, 55 to 7600 Hz, equally spaced on Slaney's mel scale, (80, 401)."""
    edges = _hertz(np.linspace(_mel(55.0), _mel(7600.0), 82))
    frequencies = np.linspace(0, 8000, 401)
    filters = np.zeros((80, 401))
    for band in range(80):
        low, centre, high = edges[band : band + 3]
        rising = (frequencies - low) / (centre - low)
        falling = (high - frequencies) / (high - centre)
        filters[band] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return filters


def _mel(hertz: float) -> float:
    """Slaney: linear (3 mel for 200 Hz) up to 1000 Hz, logarithmic (27 mel for a factor of 6.4) above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: Array) -> Array:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
