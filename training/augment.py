"""Augmentation: colours, blur and noise of pictures; voice, room and background of audio."""

import math
import random
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.audio.mel import mel_spectrogram
from app.media.sound import SPEECH_RATE
from training.networks.blocks import constant
from training.sampling import MARGIN_COLUMNS
from training.tuned import LookNumbers

_WINDOW, _BANDS = 16, 80
_SILENCE: Final = -4.0
_WHITE_TILT: Final = 1.3
"""Rise of white noise from the middle to the highest band: the mel's pre-emphasis and ever wider bands."""
_AUDIBLE: Final = 0.3
"""Smallest ratio of speech to background noise. A network trained on words drowned in noise opens the mouth
on noise."""
_NOISE_SECONDS: Final = 30
_HUE_AXIS: Final = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))


def recolor(faces: Tensor, generator: torch.Generator, looks: LookNumbers) -> Tensor:
    """Change colours, brightness and gamma of pictures (B, N, 3, H, W), 0..1; the N of a sample alike."""
    count = len(faces)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=generator.device) * 2 - 1

    gray = torch.full((3, 3), 1 / 3, device=faces.device)
    axis = constant(_HUE_AXIS, faces.device) / math.sqrt(3)
    color = torch.eye(3, device=faces.device) - gray
    angle = looks.hue * uniform(1, 1)
    turned = torch.exp(looks.saturation * uniform(1, 1)) * (
        torch.cos(angle) * color + torch.sin(angle) * axis
    )
    matrix = (gray + turned) * (1 + looks.channel_gain * uniform(3, 1))
    matrix = matrix * (1 + looks.gain * uniform(1, 1))
    offset = looks.offset * uniform(1) + looks.channel_offset * uniform(3)
    gamma = torch.exp(looks.gamma * uniform(1, 1, 1, 1))
    mixed = torch.einsum("bij,bnjhw->bnihw", matrix, faces**gamma) + offset[:, None, :, None, None]
    return mixed.clamp(0, 1)


def degrade(faces: Tensor, generator: torch.Generator, looks: LookNumbers) -> Tensor:
    """Blur the first samples of a batch like upscaled small video, and add the noise of dark video to some.

    The amount is drawn on the host: reading a number drawn on the device would stall.
    """
    height, width = faces.shape[-2:]
    small = int(
        height * random.Random(generator.initial_seed()).uniform(looks.blurred_least, looks.blurred_most)
    )
    result = faces.clone()
    blurred = result[: int(looks.blurred * len(faces))]
    if len(blurred):
        shrunk = functional.interpolate(blurred.flatten(0, 1), size=(small, small), mode="area")
        blurred.copy_(
            functional.interpolate(shrunk, size=(height, width), mode="bilinear").reshape(blurred.shape)
        )
    first = int(looks.noisy_from * len(faces))
    noisy = result[first : first + int(looks.noisy * len(faces))]
    noise = torch.randn(noisy.shape, generator=generator, device=generator.device)
    noisy.add_(looks.noise * noise).clamp_(0, 1)
    return result


def middle_window(wide: Tensor) -> Tensor:
    """Return the 16 columns (B, 1, 80, 16) in the middle of widened windows (B, 1, 80, 24)."""
    return wide[..., MARGIN_COLUMNS : MARGIN_COLUMNS + _WINDOW].contiguous()


def revoice(wide: Tensor, generator: torch.Generator) -> Tensor:
    """Change speed, pitch, level, colour and background of mel windows (B, 1, 80, 24) -> (B, 1, 80, 16)."""
    count, device = len(wide), wide.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=device) * 2 - 1

    def sometimes() -> Tensor:
        return uniform(1, 1, 1) > 0

    maps = torch.zeros(count, 2, 3, device=device)
    maps[:, 0, 0] = _WINDOW / wide.shape[-1] * (1 + 0.1 * uniform())
    maps[:, 0, 2] = 0.02 * uniform()
    maps[:, 1, 1] = 1 + 0.08 * uniform()
    maps[:, 1, 2] = 0.05 * uniform()
    grid = functional.affine_grid(maps, [count, 1, _BANDS, _WINDOW], align_corners=False)
    mel = functional.grid_sample(wide, grid, padding_mode="border", align_corners=False)
    tilt = torch.linspace(-1, 1, _BANDS, device=device)[:, None]
    mel = mel + 0.5 * uniform(1, 1, 1) + 0.6 * uniform(1, 1, 1) * tilt + 0.3 * uniform(1, 1, 1) * tilt**2
    loudness = mel.mean((2, 3), keepdim=True) - _AUDIBLE
    level = _SILENCE + (0.5 + 0.5 * uniform(1, 1, 1)) * (loudness - _SILENCE)
    hiss = level + _WHITE_TILT * (0.5 + 0.5 * uniform(1, 1, 1)) * tilt + _hiss(count, generator)
    mel = torch.where(sometimes(), torch.maximum(mel, hiss), mel)
    band = torch.arange(_BANDS, device=device)[:, None]
    lowest = (0.5 + 0.5 * uniform(1, 1, 1)) * (_BANDS - 10)
    gap = (band >= lowest) & (band < lowest + 5 * (1 + uniform(1, 1, 1)))
    return torch.where(gap & sometimes(), torch.full_like(mel, -2.0), mel).clamp(-4, 4)


def _hiss(count: int, generator: torch.Generator) -> Tensor:
    """Return the deviation of noise's mel (B, 1, 80, 16) from its mean, whatever its colour and level.

    It is cut from real noise, since neighbouring columns overlap and are correlated.
    """
    flicker = _noise(str(generator.device))
    last = flicker.shape[1] - _WINDOW
    first = torch.randint(last, (count,), generator=generator, device=generator.device)
    columns = first[:, None] + torch.arange(_WINDOW, device=generator.device)
    return flicker[:, columns].transpose(0, 1)[:, None]


@cache
def _noise(device: str) -> Tensor:
    """Return the mel (80, columns) of half a minute of white noise, less each band's mean."""
    rng = np.random.default_rng(0)
    sound = 0.05 * rng.standard_normal(_NOISE_SECONDS * SPEECH_RATE)
    mel: Any = mel_spectrogram(sound.astype(np.float32))[:, _WINDOW:-_WINDOW]
    return torch.from_numpy(mel - mel.mean(axis=1, keepdims=True)).float().to(device)
