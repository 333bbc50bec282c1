"""High dynamic range to BT.709: one table of colours, made once, looked up by FFmpeg's ``haldclut``.

The signal (PQ or HLG, ITU-R BT.2100) becomes light of a display of 1,000 cd/m2; what is brighter than a
sheet of white paper, 203 cd/m2 (ITU-R BT.2408), is compressed with the knee of ITU-R BT.2390, 5.4.1, on the
brightest of the three colours, which keeps the hue; BT.2020's colours become BT.709's, and the display's
exponent is that of BT.1886, 2.4.
"""

from functools import cache
from typing import Final

import av
import numpy as np
import numpy.typing as npt

PQ, HLG = 16, 18
"""Codes of the transfer functions in ITU-T H.273."""

_LEVEL: Final = 6
"""The table has 36 steps of each colour."""
TABLE_FORMAT: Final = "gbrp16le"
"""In planes ``haldclut`` takes a third of the time."""
_PEAK: Final = 1000.0
_WHITE: Final = 203.0
_TO_709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
"""BT.2020's primaries in BT.709's (ITU-R BT.2087, 4)."""
_LUMA: Final = np.array([0.2627, 0.6780, 0.0593])
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
"""Constants of the PQ curve (BT.2100, table 4)."""
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
"""Constants of the HLG curve (BT.2100, table 5)."""

_Colors = npt.NDArray[np.float64]
"""float64 (..., 3): red, green, blue."""


def is_hdr(picture: av.VideoFrame) -> bool:
    """Return whether the picture's transfer function is one of high dynamic range."""
    return picture.color_trc in (PQ, HLG)


@cache
def table(transfer: int, planes: tuple[int, int, int]) -> av.VideoFrame:
    """Return the table for a transfer function, PQ or HLG, as the picture that FFmpeg's ``haldclut`` reads.

    ``planes`` says which of red, green and blue, 0 to 2, is in each. A picture and not a file: whoever
    decodes can write none.
    """
    return as_picture(mapped(every_color(), transfer), planes)


def every_color() -> _Colors:
    """Return the colours of which a table tells what becomes of them, 0 to 1, in its order."""
    axis = np.linspace(0, 1, _LEVEL**2)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    return np.stack([red, green, blue], -1).reshape(-1, 3)


def as_picture(colors: _Colors, planes: tuple[int, int, int]) -> av.VideoFrame:
    """Return the table with these colours; see :func:`table`."""
    side = _LEVEL**3
    picture = av.VideoFrame(side, side, TABLE_FORMAT)
    for plane, color in zip(picture.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(plane), "<u2").reshape(side, -1)
        rows[:, :side] = np.rint(65535 * colors[:, color]).reshape(side, side)
    return picture


def mapped(signal: _Colors, transfer: int) -> _Colors:
    """Return what BT.709 shows for colours of a PQ or HLG signal; both from 0 to 1."""
    light = _light_of_pq(signal) if transfer == PQ else _light_of_hlg(signal)
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    light = light * (_compressed(brightest) / brightest)
    shown: _Colors = np.clip(light @ _TO_709.T / _WHITE, 0, 1) ** (1 / 2.4)
    return shown


def unmapped(shown: _Colors, transfer: int) -> _Colors:
    """Return the colours of a PQ or HLG signal that :func:`mapped` shows so; both from 0 to 1."""
    light = np.maximum((shown**2.4 * _WHITE) @ np.linalg.inv(_TO_709).T, 0)
    levels = _PEAK * np.linspace(0, 1, 4096) ** 3
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    light = light * (np.interp(brightest, _compressed(levels), levels) / brightest)
    return _pq_of_light(light) if transfer == PQ else _hlg_of_light(light)


def _hlg_of_light(light: _Colors) -> _Colors:
    luminance = (np.maximum(light @ _LUMA, 1e-9)[..., None] / _PEAK) ** (1 / 1.2)
    scene = light / (_PEAK * luminance**0.2)
    logarithm = _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C
    signal: _Colors = np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)
    return signal


def _light_of_pq(signal: _Colors) -> _Colors:
    root = signal ** (1 / _M2)
    light: _Colors = 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return light


def _pq_of_light(light: _Colors) -> _Colors:
    power = (light / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _light_of_hlg(signal: _Colors) -> _Colors:
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
    luminance = np.maximum(scene @ _LUMA, 1e-9)[..., None]
    light: _Colors = _PEAK * luminance**0.2 * scene
    return light


def _compressed(light: _Colors) -> _Colors:
    """Bend light of up to the peak into that of up to white: a Hermite spline above the knee, in PQ."""
    peak = _pq_of_light(np.array(_PEAK))
    level = np.minimum(_pq_of_light(light) / peak, 1)
    top = _pq_of_light(np.array(_WHITE)) / peak
    knee = 1.5 * top - 0.5
    t = np.maximum(level - knee, 0) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    )
    bent: _Colors = np.where(level < knee, level, spline) * peak
    return _light_of_pq(bent)
