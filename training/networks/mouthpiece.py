"""Mouthpiece's own generator: speech to mouth shape, mouth shape to picture.

The two halves are trained apart. ``SpeechToShape`` learns from sound alone which shape the lips take;
``ShapeToFace`` learns to give a face a stated shape, a problem with one right answer, so that it stays sharp
and never learns to copy the old mouth. ``Mouthpiece`` joins them behind Wav2Lip's interface.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from training.networks.blocks import ConvNorm, DecoderStage, Modulation, Residual, Tensor

FACE_SIZE = 96
FIRST_ROW = 40
"""Rows above this one are copied from the input."""
FEATHER = 8
"""Rows over which the generated part fades in."""
SHAPE_DIMS = 7
MEAN_LEVEL = 0.45
MAX_FLOW = 12.0
"""Pixels that the warp can move."""
LEAST_SCALE, LARGEST_SCALE = 0.5, 1.7
TEETH_GAIN, LEAST_TEETH = 1.44, 1.0
"""How much more teeth are shown than are guessed, and how much at least, in deviations: a quarter of what is
heard is GRID's speaker, who shows none; and a smile that is told to hide its teeth has them smeared."""
PRESS = 0.8
"""Deviations by which lips are pressed together where nothing opens them."""
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
    mouth_logits: Tensor
    """(B, 1, 48, 72): the inner mouth, in rows 48..95 and columns 12..83."""


class SpeechToShape(nn.Module):  # type: ignore[misc]
    """From a mel window (B, 1, 80, 16) to a mouth shape (B, 7), in units of its standard deviation.

    Several small listeners, each taught by itself; what they guess is averaged. Alone, the next draw of the
    weights guesses quite differently of people it never heard.
    """

    def __init__(self, listeners: int = 3) -> None:
        super().__init__()
        self.listeners = nn.ModuleList(_listener() for _ in range(listeners))

    def forward(self, mel: Tensor) -> Tensor:
        """Return the shape (B, 7)."""
        return self.guesses(mel).mean(0)

    def guesses(self, mel: Tensor) -> Tensor:
        """Return the shape that each listener guesses (N, B, 7)."""
        return torch.stack([listener(mel * 0.25) for listener in self.listeners])


class ShapeToFace(nn.Module):  # type: ignore[misc]
    """From a mouth shape, the head to keep and a reference face to the picture of that mouth."""

    def __init__(self, channels: tuple[int, int, int, int] = (32, 48, 80, 112), mouth: int = 48) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        condition = 96
        self.condition = nn.Sequential(
            nn.Linear(SHAPE_DIMS, condition), nn.SiLU(), nn.Linear(condition, condition)
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
        nn.init.constant_(self.mouth_paint.bias[12:], -3.0)
        rows = torch.arange(FIRST_ROW, FACE_SIZE, dtype=torch.float32)
        columns = torch.arange(FACE_SIZE, dtype=torch.float32)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1])
        self.register_buffer("grid", grid[None], persistent=False)
        fade = (torch.arange(FACE_SIZE - FIRST_ROW) / FEATHER).clamp(max=1)
        self.register_buffer("fade", fade[None, None, :, None], persistent=False)

    def forward(self, shape: Tensor, face: Tensor) -> Tensor:
        """Return the face (B, 3, 96, 96), 0..1, for a shape (B, 7) and Wav2Lip's faces (B, 6, 96, 96)."""
        rendering = self.render(shape, face)
        return torch.cat([face[:, :3, :FIRST_ROW], rendering.face], 2).clamp(0, 1)

    def render(self, shape: Tensor, face: Tensor) -> Rendering:
        """Return the generated rows with everything that the losses look at."""
        condition = self.condition(shape)
        half = self.stem(functional.pixel_unshuffle(face - MEAN_LEVEL, 2))
        quarter = self.down1(half)
        eighth = self.down2(quarter)
        bottom = self.middle(self.modulation(self.down3(eighth), condition))
        y = self.up2(_double(bottom)[:, :, 5:], eighth[:, :, 5:], condition)
        y1 = self.up1(_double(y), quarter[:, :, 10:], condition)
        y0 = self.up0(_double(y1), half[:, :, 20:], condition)
        flow = self._flow(y1, y0)
        warped = self._warp(face[:, 3:6], flow)
        features = torch.cat([y0, functional.pixel_unshuffle(warped - MEAN_LEVEL, 2)], 1)
        skin = warped + functional.pixel_shuffle(self.residual(features), 2)
        mouth, logits = self._mouth(features, condition)
        mask = functional.pad(torch.sigmoid(logits), (12, 12, 8, 0))
        painted = skin + mask * (functional.pad(mouth, (12, 12, 8, 0)) - skin)
        kept = face[:, :3, FIRST_ROW:]
        return Rendering(kept + self.fade * (painted - kept), warped, flow, logits)

    def _flow(self, coarse: Tensor, fine: Tensor) -> Tensor:
        size = (FACE_SIZE - FIRST_ROW, FACE_SIZE)
        raw = _enlarge(self.coarse_flow(coarse), size) + _enlarge(self.fine_flow(fine), size)
        return MAX_FLOW * torch.tanh(raw / 4.0)

    def _warp(self, reference: Tensor, flow: Tensor) -> Tensor:
        where = (self.grid.float() + flow.float() + 0.5) * (2 / FACE_SIZE) - 1
        warped = functional.grid_sample(
            reference.float(),
            where.permute(0, 2, 3, 1),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        return warped.to(reference.dtype)

    def _mouth(self, features: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        x = self.mouth_join(features[:, :, MOUTH_ROWS, MOUTH_COLUMNS])
        x = self.mouth_paint(self.mouth_refine(self.mouth_modulation(x, condition)))
        color = functional.pixel_shuffle(x[:, :12], 2) + MEAN_LEVEL
        return color, functional.pixel_shuffle(x[:, 12:], 2)


class Articulation(nn.Module):  # type: ignore[misc]
    """Opens open mouths wider and shuts nearly shut ones: a network that guesses shapes guesses timidly.

    A shape is scaled by (its opening / ``middle``) ** ``power``, within :data:`LEAST_SCALE` and
    :data:`LARGEST_SCALE`; ``opening`` (7,) are the weights by which shapes add up to an opening. Below the
    middle lips are pressed as well, most where a mouth is shut: what was seen of people's shut mouths is an
    average, and half of it is a little open. Teeth are enlarged by :data:`TEETH_GAIN` and
    :data:`LEAST_TEETH`; between lips that touch there is no room for them.
    """

    def __init__(self, opening: Tensor, middle: float, power: float) -> None:
        super().__init__()
        self.register_buffer("opening", opening / middle)
        self.register_buffer("gain", torch.tensor([1.0] * (SHAPE_DIMS - 1) + [TEETH_GAIN]))
        self.register_buffer("least", torch.tensor([0.0] * (SHAPE_DIMS - 1) + [LEAST_TEETH]))
        self.register_buffer("shut", -PRESS * opening / opening.square().sum())
        self.power = power

    def forward(self, shape: Tensor) -> Tensor:
        """Return shapes (B, 7) as they are to be rendered."""
        openness = (shape * self.opening).sum(1, keepdim=True).clamp(1e-2, 1e2)
        scaled = shape * self.gain * openness.pow(self.power).clamp(LEAST_SCALE, LARGEST_SCALE)
        return scaled + self.least + self.shut * (1 - openness).clamp(min=0)


class Mouthpiece(nn.Module):  # type: ignore[misc]
    """Both halves behind Wav2Lip's interface."""

    def __init__(self, speech: SpeechToShape, face: ShapeToFace, articulation: Articulation) -> None:
        super().__init__()
        self.speech = speech
        self.face = face
        self.articulation = articulation

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """Return the face (B, 3, 96, 96), 0..1, for mel (B, 1, 80, 16) and face (B, 6, 96, 96)."""
        return self.face(self.articulation(self.speech(mel)), face)


def _listener(width: int = 128, dropout: float = 0.4) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(1, 24, (2, 1)),
        ConvNorm(24, 40, (2, 1)),
        ConvNorm(40, 64, (2, 2)),
        ConvNorm(64, 96, (2, 2)),
        Residual(96),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(96 * 5 * 4, width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(width, SHAPE_DIMS),
    )


def _small(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.normal_(layer.weight, 0, 1e-3)
    nn.init.zeros_(layer.bias)
    return layer


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def _enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
