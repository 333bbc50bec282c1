"""The paint part of a model file: the network and all that is decided about it when it is exported.

Inside are the shade that the inside of a mouth gets, foreseen from the face, and the softness of what is
painted, which is that of the reference. Outside, in the service, are the warp, the enlargement and the paste.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.face import ShapeToFace, Strokes
from training.tuned import PaintNumbers

Kernel = tuple[tuple[float, ...], ...]
"""Rows of a filter's weights."""

SEEN_ROWS, SEEN_COLUMNS = slice(56, 94), slice(24, 72)
"""Where the softness of a reference is seen."""
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
_EVEN = ((-1 / 16, 4 / 16, 10 / 16, 4 / 16, -1 / 16),)
_BINOMIAL = ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16))


class Shades(nn.Module):
    """Foresees in the face how dark its mouth is inside: the doing of light and lens, which is not heard.

    It is told as far as there is more of an inside to see than in the reference, whose own is there to keep.
    ``opening`` (8,) are the weights by which shapes add up to an opening, in deviations.
    """

    weight: Tensor
    opening: Tensor

    def __init__(self, weight: Tensor, bias: float, opening: Tensor, numbers: PaintNumbers) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("opening", opening)
        self.bias, self.numbers = bias, numbers

    def forward(self, shape: Tensor, seen: Tensor) -> Tensor:
        """Return shapes (B, 17), the last a shade, for shapes (B, 16) and the :func:`summary` of faces."""
        missing, own = shape.chunk(2, 1)
        share = self._share(missing + own) - self._share(own)
        foreseen = (seen * self.weight).sum(1, keepdim=True) + self.bias
        return torch.cat([shape, share * foreseen.clamp(self.numbers.darkest, self.numbers.lightest)], 1)

    def _share(self, shape: Tensor) -> Tensor:
        """Return how much of its inside a mouth of this shape (B, 8) shows, 0..1."""
        wide = (shape * self.opening).sum(1, keepdim=True).clamp(min=0)
        return wide / (wide + self.numbers.half_open)


class Paint(nn.Module):
    """What ``models/mouthpiece.onnx`` holds."""

    def __init__(self, face: ShapeToFace, shades: Shades) -> None:
        super().__init__()
        self.face = face
        self.shades = shades
        self.numbers = shades.numbers

    def forward(self, shape: Tensor, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return flow (B, 2, 56, 96), shown (B, 1, 56, 96) and added (B, 3, 56, 96).

        ``shape`` (B, 16) is the difference of the wanted shape from the reference's own, then the reference's
        own, counted from the person's rest. ``face`` (B, 6, 96, 96), 0..1, is the head to keep, whose lower
        half is 0, then the reference.
        """
        seen = self.face.look(face)
        strokes = self.face.draw(self.shades(shape, summary(*seen[1:])), face, seen)
        softened = _softened(_without_grid(strokes), face[:, 3:], self.numbers)
        return softened.flow, softened.shown, softened.added


def summary(quarter: Tensor, eighth: Tensor) -> Tensor:
    """Return the means (B, C) of a face's features, as :meth:`ShapeToFace.look` returns them."""
    return torch.cat([quarter.mean((2, 3)), eighth.mean((2, 3))], 1)


def _softened(strokes: Strokes, reference: Tensor, numbers: PaintNumbers) -> Strokes:
    """Return the strokes as soft as a reference (B, 3, 96, 96): crisp teeth in soft footage catch the eye."""
    gray = reference[:, :, SEEN_ROWS, SEEN_COLUMNS].mean(1, keepdim=True)
    edges = functional.conv2d(gray, _kernel(LAPLACIAN, gray))
    detail = edges.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
    share = (numbers.softening * (numbers.crisp / detail).log()).clamp(0, 1)
    shown, added = (x + share * (_blurred(x) - x) for x in (strokes.shown, strokes.added))
    return strokes._replace(shown=shown, added=added)


def _without_grid(strokes: Strokes) -> Strokes:
    """Return the strokes without what alternates from pixel to pixel.

    Four neighbours are made from one place of half the resolution, and differ in bright teeth: a grid, once
    it is enlarged. Detail of four pixels loses a quarter, coarser detail nothing that is seen.
    """
    shown, added = (
        _filtered(_filtered(x, _EVEN), _transposed(_EVEN)) for x in (strokes.shown, strokes.added)
    )
    return strokes._replace(shown=shown.clamp(0, 1), added=added)


def _transposed(values: Kernel) -> Kernel:
    return tuple(zip(*values, strict=True))


def _blurred(x: Tensor) -> Tensor:
    return _filtered(x, _BINOMIAL)


def _filtered(x: Tensor, values: Kernel) -> Tensor:
    """Return x (B, C, H, W), each channel under the same kernel, the border repeated."""
    channels, kernel = x.shape[1], _kernel(values, x)
    down, across = kernel.shape[2] // 2, kernel.shape[3] // 2
    padded = functional.pad(x, (across, across, down, down), mode="replicate")
    return functional.conv2d(padded, kernel.expand(channels, -1, -1, -1), groups=channels)


def _kernel(values: Kernel, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[None, None]
