"""The building blocks that the networks share."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@cache
def constant(values: Any, device: torch.device) -> Tensor:
    """Return the tensor of (nested tuples of) numbers, made once for a device.

    One that is made anew in every step would be waited for in every step, until all that the device was given
    before is done.
    """
    return torch.tensor(values, device=device)


class ConvNorm(nn.Sequential):
    """A 3x3 convolution, batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs, momentum=0.05),
            nn.ReLU(inplace=True),
        )


def bias_of(layer: nn.Conv2d) -> Tensor:
    """Return the bias of a convolution that has one."""
    assert layer.bias is not None
    return layer.bias


class Residual(nn.Module):
    """Two convolutions added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels, momentum=0.05)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape (B, C, H, W)."""
        return functional.relu(x + self.norm(self.second(self.first(x))))


class Modulation(nn.Module):
    """Feature-wise scale and shift from a condition vector (FiLM, Perez et al. 2018)."""

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.linear.weight, 0, 0.05)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return x (B, C, H, W) scaled and shifted per channel by the condition (B, D)."""
        scale, shift = self.linear(condition)[:, :, None, None].split(self.channels, 1)
        modulated: Tensor = x * (1 + scale) + shift
        return modulated


class DecoderStage(nn.Module):
    """Joins upsampled features with the encoder's of the same size, modulated by the condition."""

    def __init__(self, inputs: int, skip: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.join = ConvNorm(inputs + skip, outputs)
        self.modulation = Modulation(condition, outputs)
        self.refine = Residual(outputs)

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor) -> Tensor:
        """Return features (B, outputs, H, W)."""
        joined: Tensor = self.refine(self.modulation(self.join(torch.cat([x, skip], 1)), condition))
        return joined
