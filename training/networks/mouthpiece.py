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
SHAPE_DIMS = 8
PAINTED_DIMS = SHAPE_DIMS + 1
"""A shape, and how dark the inside of the mouth is (``training/shade.py``)."""
DARKEST_SHADE, LIGHTEST_SHADE = -2.0, 0.4
"""Bounds of that, in deviations from the average mouth."""
_HALF_OPEN = 0.4
"""Opening, in deviations, at which half of it is told: then an inner mouth has the pixels of which
``training/shade.py`` believes half."""
MEAN_LEVEL = 0.45
MAX_FLOW = 12.0
"""Pixels that the warp can move."""
LEAST_SCALE, LARGEST_SCALE = 0.5, 1.7
CRISP = 0.048
"""RMS of the Laplacian about a reference's mouth, of brightness 0..1, from which painting stays as it is."""
SOFTENING = 1.6
"""Share of a blur that painting gets for each factor e by which the reference is softer."""
TEETH_GAINS = (1.3, 0.0)
"""How much more of the upper and the lower teeth are shown than are guessed. What is guessed is a mean over
people of whom most show none, and the others twice as much; both rows at once look like neither."""
PRESS = 1.9
"""Deviations by which lips are pressed together where nothing opens them."""
SEEN_ROWS, SEEN_COLUMNS = slice(56, 94), slice(24, 72)
"""Where the softness of a reference is seen, at 96 pixels."""
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
_BINOMIAL = ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16))
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


class Strokes(NamedTuple):
    """What ``ShapeToFace`` decides to paint, before it is laid onto a face; over the generated rows."""

    flow: Tensor
    """(B, 2, H, S)."""
    warped: Tensor
    """(B, 3, H, S): the reference moved by the flow."""
    shown: Tensor
    """(B, 1, H, S): how much of it shows, 0..1: not where an inner mouth is painted."""
    added: Tensor
    """(B, 3, H, S): what is added to that: the residual, and the inner mouth's colours where that is."""
    mouth_logits: Tensor
    """(B, 1, 48, 72): where the inner mouth is, before the sigmoid, at 96 pixels."""


class InnerMouth(NamedTuple):
    """What lies between the lips, in rows 48..95 and columns 12..83 of a face of 96 pixels."""

    color: Tensor
    """(B, 3, 48, 72)."""
    outline: Tensor
    """(B, 1, 48, 72): where it is, before the sigmoid."""
    kept: Tensor
    """(B, 1, 48, 72): where the warped reference stays, before the sigmoid: it has the teeth of a smile."""


class SpeechToShape(nn.Module):  # type: ignore[misc]
    """From a mel window (B, 1, 80, 16) to a mouth shape (B, 8), in units of its standard deviation.

    Several small listeners, each taught by itself; what they guess is averaged. Alone, the next draw of the
    weights guesses quite differently of people it never heard.
    """

    def __init__(self, listeners: int = 8) -> None:
        super().__init__()
        self.listeners = nn.ModuleList(_listener() for _ in range(listeners))

    def forward(self, mel: Tensor) -> Tensor:
        """Return the shape (B, 8)."""
        return self.guesses(mel).mean(0)

    def guesses(self, mel: Tensor) -> Tensor:
        """Return the shape that each listener guesses (N, B, 8)."""
        return torch.stack([listener(mel * 0.25) for listener in self.listeners])


class ShapeToFace(nn.Module):  # type: ignore[misc]
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
        nn.init.constant_(self.mouth_paint.bias[12:], -3.0)
        self.mouth_keep = _small(nn.Conv2d(mouth, 4, 3, 1, 1))
        nn.init.constant_(self.mouth_keep.bias, -3.0)

    def forward(self, shape: Tensor, face: Tensor, shades: "Shades | None" = None) -> Tensor:
        """Return the face (B, 3, S, S), 0..1, for a shape (B, 9) and Wav2Lip's faces (B, 6, S, S).

        S is 96 or a multiple. What to paint is decided at 96 pixels, whatever S is: a larger reference is
        moved at its own size, so that its skin and lips stay as sharp as they are. The last number of the
        shape is how dark the inside is; with ``shades``, how much of the inside there is to see.
        """
        times = face.shape[-1] // FACE_SIZE
        small = functional.avg_pool2d(face, times) if times > 1 else face
        strokes = _softened(self.decide(shape, small, shades), small[:, 3:])
        made = paint(_enlarged(strokes, face, times) if times > 1 else strokes, face)
        return torch.cat([face[:, :3, : FIRST_ROW * times], made], 2).clamp(0, 1)

    def render(self, shape: Tensor, face: Tensor) -> Rendering:
        """Return the generated rows of faces of 96 pixels, with everything that the losses look at."""
        strokes = self.decide(shape, face)
        return Rendering(paint(strokes, face), strokes.warped, strokes.flow, strokes.mouth_logits)

    def look(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of faces (B, 6, 96, 96) at a half, a quarter and an eighth of their size."""
        half = self.stem(functional.pixel_unshuffle(face - MEAN_LEVEL, 2))
        quarter = self.down1(half)
        return half, quarter, self.down2(quarter)

    def decide(self, shape: Tensor, face: Tensor, shades: "Shades | None" = None) -> Strokes:
        """Return what to paint on faces (B, 6, 96, 96)."""
        half, quarter, eighth = self.look(face)
        condition = self.condition(shades(shape, summary(quarter, eighth)) if shades else shape)
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


def summary(quarter: Tensor, eighth: Tensor) -> Tensor:
    """Return the means (B, C) of a face's features, as :meth:`ShapeToFace.look` returns them."""
    return torch.cat([quarter.mean((2, 3)), eighth.mean((2, 3))], 1)


def warp(reference: Tensor, flow: Tensor) -> Tensor:
    """Return the generated rows (B, 3, H, S) of a reference (B, 3, S, S) moved by a flow (B, 2, H, S)."""
    size, first = reference.shape[-1], reference.shape[-1] - flow.shape[2]
    rows = torch.arange(first, size, dtype=torch.float32, device=flow.device)
    columns = torch.arange(size, dtype=torch.float32, device=flow.device)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1])
    where = (grid + flow.float() + 0.5) * (2 / size) - 1
    warped = functional.grid_sample(
        reference.float(),
        where.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return warped.to(reference.dtype)


def paint(strokes: Strokes, face: Tensor) -> Tensor:
    """Return the generated rows (B, 3, H, S), not clipped, of faces (B, 6, S, S)."""
    times = face.shape[-1] // FACE_SIZE
    painted = strokes.warped * strokes.shown + strokes.added
    kept = face[:, :3, FIRST_ROW * times :]
    rows = torch.arange(kept.shape[2], dtype=face.dtype, device=face.device)
    fade = (rows / (FEATHER * times)).clamp(max=1)[:, None]
    return kept + fade * (painted - kept)


class Articulation(nn.Module):  # type: ignore[misc]
    """Opens open mouths wider and shuts nearly shut ones: a network that guesses shapes guesses timidly.

    A shape is scaled by (its opening / ``middle``) ** ``power``, within :data:`LEAST_SCALE` and
    :data:`LARGEST_SCALE`; ``opening`` (8,) are the weights by which shapes add up to an opening. Below the
    middle lips are pressed as well, most where a mouth is shut: what was seen of people's shut mouths is an
    average, and half of it is a little open. Teeth are enlarged by
    :data:`TEETH_GAINS`. The ninth number is how much of the inside there is to see, 0..1.
    """

    def __init__(self, opening: Tensor, middle: float, power: float) -> None:
        super().__init__()
        self.register_buffer("opening", opening / middle)
        gains = [1.0] * (SHAPE_DIMS - len(TEETH_GAINS)) + list(TEETH_GAINS)
        self.register_buffer("gain", torch.tensor(gains))
        self.register_buffer("shut", -PRESS * opening / opening.square().sum())
        self.middle, self.power = middle, power

    def forward(self, shape: Tensor) -> Tensor:
        """Return for shapes (B, 8) what is to be painted (B, 9)."""
        openness = (shape * self.opening).sum(1, keepdim=True).clamp(1e-2, 1e2)
        scaled = shape * self.gain * openness.pow(self.power).clamp(LEAST_SCALE, LARGEST_SCALE)
        pressed = scaled + self.shut * (1 - openness).clamp(min=0)
        wide = self.middle * (pressed * self.opening).sum(1, keepdim=True).clamp(min=0)
        return torch.cat([pressed, wide / (wide + _HALF_OPEN)], 1)


class Shades(nn.Module):  # type: ignore[misc]
    """Foresees in the face how dark its mouth is inside: the doing of light and lens, which is not heard."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.bias = bias

    def forward(self, shape: Tensor, seen: Tensor) -> Tensor:
        """Return shapes (B, 9) that end with a shade, for ones that end with the share of it to be told.

        ``seen`` (B, C) is the :func:`summary` of faces.
        """
        foreseen = (seen * self.weight).sum(1, keepdim=True) + self.bias
        shade = shape[:, -1:] * foreseen.clamp(DARKEST_SHADE, LIGHTEST_SHADE)
        return torch.cat([shape[:, :-1], shade], 1)


class Mouthpiece(nn.Module):  # type: ignore[misc]
    """Both halves behind Wav2Lip's interface."""

    def __init__(
        self, speech: SpeechToShape, face: ShapeToFace, articulation: Articulation, shades: Shades
    ) -> None:
        super().__init__()
        self.speech = speech
        self.face = face
        self.articulation = articulation
        self.shades = shades

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """Return the face (B, 3, S, S), 0..1, for mel (B, 1, 80, 16) and face (B, 6, S, S)."""
        return self.face(self.articulation(self.speech(mel)), face, self.shades)


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


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _in_rows(window: Tensor) -> Tensor:
    """Return what fills the window of inner mouths laid into the generated rows, zeros around it."""
    return functional.pad(window, (12, 12, 8, 0))


def _softened(strokes: Strokes, reference: Tensor) -> Strokes:
    """Return the strokes as soft as a reference (B, 3, 96, 96): crisp teeth in soft footage catch the eye."""
    gray = reference[:, :, SEEN_ROWS, SEEN_COLUMNS].mean(1, keepdim=True)
    edges = functional.conv2d(gray, _kernel(LAPLACIAN, gray))
    detail = edges.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
    share = (SOFTENING * (CRISP / detail).log()).clamp(0, 1)
    shown, added = (x + share * (_blurred(x) - x) for x in (strokes.shown, strokes.added))
    return strokes._replace(shown=shown, added=added)


def _blurred(x: Tensor) -> Tensor:
    channels = x.shape[1]
    padded = functional.pad(x, (1,) * 4, mode="replicate")
    return functional.conv2d(padded, _kernel(_BINOMIAL, x).expand(channels, 1, 3, 3), groups=channels)


def _kernel(values: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[None, None]


def _enlarged(strokes: Strokes, face: Tensor, times: int) -> Strokes:
    """Return the strokes for faces (B, 6, S, S), S ``times`` 96: the warp is made anew at that size."""
    flow = times * _cubic(strokes.flow, times)
    shown, added = _cubic(strokes.shown, times).clamp(0, 1), _cubic(strokes.added, times)
    return Strokes(flow, warp(face[:, 3:6], flow), shown, added, strokes.mouth_logits)


def _cubic(x: Tensor, times: int) -> Tensor:
    """Return x (B, C, H, W) enlarged, bicubic.

    As one convolution: engines on CPUs take nine times as long for a bicubic resize.
    """
    channels, reach = x.shape[1], 5
    line = torch.eye(reach).reshape(-1, 1, 1, reach)
    large = functional.interpolate(line, scale_factor=(1, times), mode="bicubic")
    middle = reach // 2
    taps = large[:, 0, 0, middle * times : (middle + 1) * times].T
    kernel = torch.einsum("ai,bj->abij", taps, taps).reshape(-1, 1, reach, reach)
    weight = torch.eye(channels)[:, None, :, None, None] * kernel[None]
    padded = functional.pad(x, (middle,) * 4, mode="replicate")
    made = functional.conv2d(padded, weight.reshape(-1, channels, reach, reach).to(x))
    return functional.pixel_shuffle(made, times)
