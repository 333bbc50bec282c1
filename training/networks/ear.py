"""The ear: Whisper's first layers, and heads that tell mouth shapes from them."""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.mouths.space import SHAPE_DIMS
from training.networks.whisper import WhisperEncoder

OUTPUTS: Final = 2 + SHAPE_DIMS
"""The opening, the shape, and how surely somebody speaks (before the sigmoid)."""
OPENING: Final = 0
SHAPES: Final = slice(1, 1 + SHAPE_DIMS)
SPEECH: Final = 1 + SHAPE_DIMS
BEFORE, AFTER = 6, 10
"""Rows before and after its own that a head looks at: 120 ms back, 200 ms ahead."""
_TAPS, _STEP = 7, 2


class Head(nn.Module):
    """Rows (B, T, dims) of the encoder to what is heard (B, T - 16, 10).

    Rows of several ``layers`` stand side by side; each layer's are normalised by themselves.
    """

    def __init__(
        self, dims: int, *, layers: int, narrow: int, width: int, drop_input: float, drop: float
    ) -> None:
        super().__init__()
        self._of_layers = (layers, dims // layers)
        middle = narrow + narrow // 2
        self.drop_input, self.drop = nn.Dropout(drop_input), nn.Dropout(drop)
        self.down = nn.Linear(dims, narrow)
        self.first, self.second = nn.Conv1d(narrow, middle, 3), nn.Conv1d(middle, middle, 3)
        self.norms = nn.ModuleList(nn.BatchNorm1d(middle, momentum=0.05) for _ in range(2))
        self.gather = nn.Conv1d(middle, width, _TAPS, dilation=_STEP)
        self.answer = nn.Linear(width, OUTPUTS)

    def forward(self, rows: Tensor) -> Tensor:
        """Return what is heard at every row that has its neighbours, BEFORE of them and AFTER."""
        rows = functional.layer_norm(rows.unflatten(-1, self._of_layers), self._of_layers[1:]).flatten(-2)
        narrow = functional.silu(self.down(self.drop_input(rows))).transpose(1, 2)
        x = functional.relu(self.norms[0](self.first(narrow)))
        x = functional.relu(self.norms[1](self.second(x)))
        x = functional.silu(self.gather(self.drop(x)))
        heard: Tensor = self.answer(self.drop(x).transpose(1, 2))
        return heard


class Listener(nn.Module):
    """Windows of log-mel to what is heard in the piece in their middle, as the service runs it."""

    def __init__(
        self,
        encoder: WhisperEncoder,
        heads: Any,
        *,
        past: int,
        piece: int,
        speech_from: float = 0.0,
        speech_to: float = 1.0,
    ) -> None:
        """Join an encoder and heads; speech is 0 up to ``speech_from`` and 1 from ``speech_to``."""
        super().__init__()
        self.encoder, self.heads = encoder, nn.ModuleList(heads)
        self._speech_from, self._speech_range = speech_from, speech_to - speech_from
        self._rows = slice(past - BEFORE, past + piece + AFTER)

    def forward(self, mel: Tensor) -> Tensor:
        """Return (B, piece, 10) of windows (B, 80, columns): the heads' mean, at rest without speech."""
        rows = self.encoder(mel)[:, self._rows]
        heard = torch.stack([head(rows) for head in self.heads]).mean(dim=0)
        spoken = torch.sigmoid(heard[..., SPEECH:])
        spoken = ((spoken - self._speech_from) / self._speech_range).clamp(0, 1)
        return torch.cat([heard[..., :SPEECH] * spoken, spoken], dim=-1)
