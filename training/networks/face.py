"""From a mouth's shape to its picture: how a reference is to be warped, and what is painted onto it.

``ShapeToFace`` gives a face a stated shape, a problem with one right answer, so that it stays sharp and never
learns to copy the old mouth. It decides at 96 pixels; the service enlarges its strokes and lays them onto the
footage's own pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.mouths.painter import FACE_SIZE, FIRST_ROW, SHAPE_DIMS
from training.networks.blocks import ConvNorm, DecoderStage, Modulation, Residual, bias_of

FEATHER = 8
"""Rows over which the generated part fades in."""
PAINTED_DIMS = SHAPE_DIMS + 1
"""A shape, and how dark the inside of the mouth is (``training/shade.py``)."""
MEAN_LEVEL = 0.45
MAX_FLOW = 12.0
"""Pixels that the warp can move."""
MOUTH_COLUMNS = slice(6, 42)
MOUTH_ROWS = slice(4, 28)
"""Where an inner mouth may be, in the generated rows at half resolution: pixels 48..95 by 12..83."""


class Rendering(NamedTuple):
    """What ``ShapeToFace`` made, for its losses; every image covers the rows 40..95."""

    face: Tensor
    """(B, 3, 56, 96), not clipped."""
    warped: Tensor
    """(B, 3, 56, 96): the reference moved by the flow alone."""
    flow: Tensor
    """(B, 2, 56, 96): where in the reference each pixel comes from, as an x, y offset in pixels."""
    shown: Tensor
    """(B, 1, 56, 96): how much of the warped reference shows, 0..1."""
    mouth_logits: Tensor
    """(B, 1, 48, 72): the inner mouth, in rows 48..95 and columns 12..83."""


class Strokes(NamedTuple):
    """What ``ShapeToFace`` decides to paint, before it is laid onto a face; over the generated rows."""

    flow: Tensor
    """(B, 2, 56, 96)."""
    warped: Tensor
    """(B, 3, 56, 96): the reference moved by the flow."""
    shown: Tensor
    """(B, 1, 56, 96): how much of it shows, 0..1: not where an inner mouth is painted."""
    added: Tensor
    """(B, 3, 56, 96): what is added to that: the residual, and the inner mouth's colours where that is."""
    mouth_logits: Tensor
    """(B, 1, 48, 72): where the inner mouth is, before the sigmoid."""


class InnerMouth(NamedTuple):
    """What lies between the lips, in rows 48..95 and columns 12..83."""

    color: Tensor
    """(B, 3, 48, 72)."""
    outline: Tensor
    """(B, 1, 48, 72): where it is, before the sigmoid."""
    kept: Tensor
    """(B, 1, 48, 72): where the warped reference stays, before the sigmoid: it may have teeth itself."""


class ShapeToFace(nn.Module):
    """From a mouth shape, the head to keep and a reference face to the picture of that mouth."""

    def __init__(self, channels: tuple[int, int, int, int] = (32, 48, 80, 112), mouth: int = 64) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        condition = 96
        self.condition = nn.Sequential(
            nn.Linear(PAINTED_DIMS, condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        self.stem = ConvNorm(24, c1)
        self.down1 = nn.Sequential(ConvNorm(c1, c2, 2), Residual(c2))
        self.down2 = nn.Sequential(ConvNorm(c2, c3, 2), Residual(c3))
        self.down3 = nn.Sequential(ConvNorm(c3, c4, 2), Residual(c4))
        self.modulation = Modulation(condition, c4)
        self.middle = Residual(c4)
        self.up2 = DecoderStage(c4, c3, c3, condition)
        self.up1 = DecoderStage(c3, c2, c2, condition)
        self.up0 = DecoderStage(c2, c1, c1, condition)
        self.coarse_flow = _small(nn.Conv2d(c2, 2, 3, 1, 1))
        self.fine_flow = _small(nn.Conv2d(c1, 2, 3, 1, 1))
        self.residual = _small(nn.Conv2d(c1 + 12, 12, 3, 1, 1))
        self.mouth_join = ConvNorm(c1 + 12, mouth)
        self.mouth_modulation = Modulation(condition, mouth)
        self.mouth_refine = nn.Sequential(Residual(mouth), Residual(mouth))
        self.mouth_paint = nn.Conv2d(mouth, 16, 3, 1, 1)
        nn.init.constant_(bias_of(self.mouth_paint)[12:], -3.0)
        self.mouth_keep = _small(nn.Conv2d(mouth, 4, 3, 1, 1))
        nn.init.constant_(bias_of(self.mouth_keep), -3.0)

    def forward(self, shape: Tensor, face: Tensor) -> Tensor:
        """Return the face (B, 3, 96, 96), 0..1, for a shape (B, 17) and Wav2Lip's faces (B, 6, 96, 96)."""
        made = paint(self.decide(shape, face), face)
        return torch.cat([face[:, :3, :FIRST_ROW], made], 2).clamp(0, 1)

    def render(self, shape: Tensor, face: Tensor) -> Rendering:
        """Return the generated rows of faces, with everything that the losses look at."""
        strokes = self.decide(shape, face)
        return Rendering(
            paint(strokes, face), strokes.warped, strokes.flow, strokes.shown, strokes.mouth_logits
        )

    def look(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of faces (B, 6, 96, 96) at a half, a quarter and an eighth of their size."""
        half = self.stem(functional.pixel_unshuffle(face - MEAN_LEVEL, 2))
        quarter = self.down1(half)
        return half, quarter, self.down2(quarter)

    def decide(self, shape: Tensor, face: Tensor) -> Strokes:
        """Return what to paint on faces (B, 6, 96, 96) for shapes (B, 17)."""
        return self.draw(shape, face, self.look(face))

    def draw(self, shape: Tensor, face: Tensor, seen: tuple[Tensor, Tensor, Tensor]) -> Strokes:
        """Return what to paint on faces whose features are ``seen``, as :meth:`look` returns them."""
        half, quarter, eighth = seen
        condition = self.condition(shape)
        bottom = self.middle(self.modulation(self.down3(eighth), condition))
        y = self.up2(_double(bottom)[:, :, 5:], eighth[:, :, 5:], condition)
        y1 = self.up1(_double(y), quarter[:, :, 10:], condition)
        y0 = self.up0(_double(y1), half[:, :, 20:], condition)
        flow = self._flow(y1, y0)
        warped = warp(face[:, 3:6], flow)
        features = torch.cat([y0, functional.pixel_unshuffle(warped - MEAN_LEVEL, 2)], 1)
        residual = functional.pixel_shuffle(self.residual(features), 2)
        mouth = self._mouth(features, condition)
        inside = torch.sigmoid(mouth.outline)
        painted = inside * torch.sigmoid(-mouth.kept)
        added = residual * (1 - _in_rows(inside)) + _in_rows(painted * mouth.color)
        return Strokes(flow, warped, 1 - _in_rows(painted), added, mouth.outline)

    def _flow(self, coarse: Tensor, fine: Tensor) -> Tensor:
        size = (FACE_SIZE - FIRST_ROW, FACE_SIZE)
        raw = _resized(self.coarse_flow(coarse), size) + _resized(self.fine_flow(fine), size)
        return MAX_FLOW * torch.tanh(raw / 4.0)

    def _mouth(self, features: Tensor, condition: Tensor) -> InnerMouth:
        x = self.mouth_join(features[:, :, MOUTH_ROWS, MOUTH_COLUMNS])
        x = self.mouth_refine(self.mouth_modulation(x, condition))
        color, outline = self.mouth_paint(x).split((12, 4), 1)
        return InnerMouth(
            functional.pixel_shuffle(color, 2) + MEAN_LEVEL,
            functional.pixel_shuffle(outline, 2),
            functional.pixel_shuffle(self.mouth_keep(x), 2),
        )


def warp(reference: Tensor, flow: Tensor) -> Tensor:
    """Return the generated rows (B, 3, 56, 96) of a reference moved by a flow (B, 2, 56, 96)."""
    rows = torch.arange(FIRST_ROW, FACE_SIZE, dtype=torch.float32, device=flow.device)
    columns = torch.arange(FACE_SIZE, dtype=torch.float32, device=flow.device)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1])
    where = (grid + flow.float() + 0.5) * (2 / FACE_SIZE) - 1
    warped = functional.grid_sample(
        reference.float(),
        where.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return warped.to(reference.dtype)


def paint(strokes: Strokes, face: Tensor) -> Tensor:
    """Return the generated rows (B, 3, 56, 96), not clipped, of faces (B, 6, 96, 96)."""
    painted = strokes.warped * strokes.shown + strokes.added
    kept = face[:, :3, FIRST_ROW:]
    rows = torch.arange(kept.shape[2], dtype=face.dtype, device=face.device)
    fade = (rows / FEATHER).clamp(max=1)[:, None]
    return kept + fade * (painted - kept)


def _small(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.normal_(layer.weight, 0, 1e-3)
    nn.init.zeros_(bias_of(layer))
    return layer


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _in_rows(window: Tensor) -> Tensor:
    """Return what fills the window of inner mouths laid into the generated rows, zeros around it."""
    return functional.pad(window, (12, 12, 8, 0))
