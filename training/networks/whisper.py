"""The encoder of Whisper, as far as it is used: its first layers turn log-mel into what is said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.audio.logmel import BANDS
from app.errors import InvalidModel, ModelNotFound
from app.media.digests import known_sha256

_HEAD_DIMS: Final = 64


class Layer(nn.Module):
    """One layer of attention and of thinking it over."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.heads = dims // _HEAD_DIMS
        self.norm_attention, self.norm_feed = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.qkv, self.out = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims)
        self.up, self.down = nn.Linear(dims, 4 * dims), nn.Linear(4 * dims, dims)

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows (B, T, dims) of the next layer."""
        batch, count, dims = rows.shape
        parts = self.qkv(self.norm_attention(rows)).reshape(batch, count, 3, self.heads, _HEAD_DIMS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        rows = rows + self.out(seen.transpose(1, 2).reshape(batch, count, dims))
        fed: Tensor = self.down(functional.gelu(self.up(self.norm_feed(rows))))
        return rows + fed


class WhisperEncoder(nn.Module):
    """Log-mel (B, 80, 2 T) to rows (B, T, dims), 50 a second; row ``r`` is centred on column ``2 r``.

    ``taken`` are the layers, counted from 1, whose rows stand side by side in the answer: of two layers of
    384 numbers each, a row has 768.
    """

    positions: Tensor
    sha256: str = ""
    """Of the file that the weights are from."""

    def __init__(self, dims: int, taken: Sequence[int]) -> None:
        super().__init__()
        self.taken = tuple(taken)
        self.conv1 = nn.Conv1d(BANDS, dims, 3, 1, 1)
        self.conv2 = nn.Conv1d(dims, dims, 3, 2, 1)
        self.register_buffer("positions", torch.zeros(1500, dims))
        self.layers = nn.ModuleList(Layer(dims) for _ in range(max(taken)))

    def forward(self, mel: Tensor) -> Tensor:
        """Return the rows of the layers that are taken, without Whisper's closing norm."""
        rows = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        rows = rows + self.positions[: rows.shape[1]]
        taken = []
        for number, layer in enumerate(self.layers, start=1):
            rows = layer(rows)
            if number in self.taken:
                taken.append(rows)
        return torch.cat(taken, dim=-1)


_PARTS: Final = {
    "norm_attention": "self_attention/layer_norm",
    "norm_feed": "ffn/layer_norm",
    "qkv": "self_attention/linear_0",
    "out": "self_attention/linear_1",
    "up": "ffn/linear_0",
    "down": "ffn/linear_1",
}
"""Names of a layer's parts in CTranslate2's copies of Whisper."""


def load_encoder(path: Path, taken: Sequence[int]) -> WhisperEncoder:
    """Return the encoder in ``path``, an .npz of CTranslate2's arrays, up to the last layer that is taken.

    Raises ModelNotFound if there is no such file, InvalidModel if it is of another kind or has fewer layers.
    """
    layers = max(taken)
    if not path.is_file():
        raise ModelNotFound(f"There is no encoder at {path}: give the .npz of Whisper's encoder.")
    try:
        with path.open("rb") as file, np.load(file) as stored:
            weights = _state(stored, layers)
        encoder = WhisperEncoder(weights["conv1.weight"].shape[0], taken)
        encoder.load_state_dict(weights)
    except Exception as error:  # a damaged or empty file makes numpy raise anything
        raise InvalidModel(
            f"{path} does not hold {layers} layers of Whisper's encoder ({error}): give the .npz of it."
        ) from error
    encoder.eval().requires_grad_(False)
    encoder.sha256 = known_sha256(path)
    return encoder


def _state(stored: Any, layers: int) -> dict[str, Tensor]:
    def array(name: str) -> Tensor:
        return torch.from_numpy(np.asarray(stored[f"encoder/{name}"], np.float32).copy())

    state = {"positions": array("position_encodings/encodings")}
    for name in ("conv1", "conv2"):
        state |= {f"{name}.{kind}": array(f"{name}/{kind}") for kind in ("weight", "bias")}
    for index in range(layers):
        for part, place in _PARTS.items():
            kinds = ("gamma", "beta") if part.startswith("norm") else ("weight", "bias")
            for kind, stored_kind in zip(("weight", "bias"), kinds, strict=True):
                state[f"layers.{index}.{part}.{kind}"] = array(f"layer_{index}/{place}/{stored_kind}")
    return state
