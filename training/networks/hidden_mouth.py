"""A small U-Net that marks what covers a lower face."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.blocks import ConvNorm


class HiddenMouth(nn.Module):
    """From faces (B, 3, 96, 96), BGR 0..1, to logits (B, 96, 96) that a pixel is not of the face.

    Four pixels are taken and answered at once: at 48x48 it needs a third of the time, and misses little.
    """

    def __init__(self, channels: tuple[int, ...] = (16, 28, 44, 60)) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(before, after), ConvNorm(after, after))
            for before, after in pairwise((12, *channels))
        )
        self.up = nn.ModuleList(
            nn.Sequential(ConvNorm(deep + skip, skip), ConvNorm(skip, skip))
            for skip, deep in reversed(list(pairwise(channels)))
        )
        self.answer = nn.Conv2d(channels[0], 4, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """Return the logits."""
        x = functional.pixel_unshuffle(faces, 2)
        skips: list[Tensor] = []
        for level in self.down:
            x = level(functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for level, skip in zip(self.up, skips[-2::-1], strict=True):
            larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = level(torch.cat([larger, skip], 1))
        return functional.pixel_shuffle(self.answer(x), 2)[:, 0]
