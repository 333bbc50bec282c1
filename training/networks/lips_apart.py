"""A small network that sees how far lips part."""

from itertools import pairwise

from torch import Tensor, nn

from app.mouths.lips_apart import MOUTH_SIZE
from training.networks.blocks import ConvNorm


class LipsApartNet(nn.Module):
    """From mouths (B, 3, 40, 56), BGR 0..1, to how far lips part (B,), percent of the eyes' distance."""

    def __init__(self, channels: tuple[int, ...] = (16, 24, 32, 48), drop: float = 0.2) -> None:
        super().__init__()
        self.first = nn.Sequential(ConvNorm(3, channels[0]), ConvNorm(channels[0], channels[0]))
        self.down = nn.Sequential(
            *(
                nn.Sequential(ConvNorm(before, after, 2), ConvNorm(after, after))
                for before, after in pairwise(channels)
            )
        )
        width, height = MOUTH_SIZE
        shrunk = 2 ** (len(channels) - 1)
        places = (width // shrunk) * (height // shrunk)
        self.answer = nn.Sequential(nn.Flatten(), nn.Dropout(drop), nn.Linear(channels[-1] * places, 1))

    def forward(self, mouths: Tensor) -> Tensor:
        """Return how far the lips part; what light and camera do to a whole mouth is taken off first.

        The spread is that of absolute values: OpenVINO 2026 takes a mean square for another normalisation.
        """
        centred = mouths - mouths.mean((2, 3), keepdim=True)
        spread = centred.abs().mean((1, 2, 3), keepdim=True)
        apart: Tensor = self.answer(self.down(self.first(centred / (spread + 8 / 255))))
        return apart[:, 0]
