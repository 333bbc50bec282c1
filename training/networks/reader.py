"""The reader: finds the points that speech moves in the picture of a lower face.

Frozen, it tells the generator where the lips that it painted lie, in a way that gradients pass: the mesh
network of the service, by which mouths are measured, only runs forwards.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.blocks import ConvNorm, Residual

FIRST_ROW = 40
ROWS, COLUMNS = 56, 96
MEAN_LEVEL = 0.45
_STRIDE = 4
_REACH = 1.2
"""How far beyond the picture's edge, about its middle, a point can be said to lie: chins leave the box."""


class Read(NamedTuple):
    """What the reader finds: points (B, K, 2) in pixels of the whole face, and features on the way there."""

    points: Tensor
    features: tuple[Tensor, ...]


class LandmarkReader(nn.Module):
    """Reads K points off the lowest 56 rows of faces (B, 3, 56, 96), 0..1.

    Each point is the mean place under a map of its own (soft argmax), which learns places far sooner than a
    dense layer does.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.fine = ConvNorm(12, 32)
        self.middle = nn.Sequential(ConvNorm(32, 48, 2), Residual(48))
        self.coarse = nn.Sequential(ConvNorm(48, 64, 2), Residual(64))
        self.whole = nn.Sequential(ConvNorm(64, 80, 2), Residual(80))
        self.wide = ConvNorm(80 + 64, 64)
        self.join = ConvNorm(64 + 48, 64)
        self.maps = nn.Conv2d(64, points, 1)
        rows = (torch.arange(ROWS // _STRIDE) + 0.5) * _STRIDE - ROWS / 2
        columns = (torch.arange(COLUMNS // _STRIDE) + 0.5) * _STRIDE - COLUMNS / 2
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], 2).reshape(-1, 2)
        self.register_buffer("places", _REACH * places, persistent=False)
        centre = torch.tensor([COLUMNS / 2 - 0.5, FIRST_ROW + ROWS / 2 - 0.5])
        self.register_buffer("centre", centre, persistent=False)

    def forward(self, lower: Tensor) -> Read:
        """Return where the points lie, and features at half, a quarter and an eighth of the resolution."""
        fine = self.fine(functional.pixel_unshuffle(lower - MEAN_LEVEL, 2) * 2)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        wide = self.wide(torch.cat([_resized(self.whole(coarse), coarse), coarse], 1))
        maps = self.maps(self.join(torch.cat([_resized(wide, middle), middle], 1)))
        shares = maps.float().flatten(2).softmax(2)
        return Read(shares @ self.places + self.centre, (fine, middle, coarse))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="nearest")
