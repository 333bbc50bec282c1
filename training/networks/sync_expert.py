"""The sync expert: tells whether a mouth and a stretch of sound belong together."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.blocks import ConvNorm, Residual

EMBEDDING = 128
MEAN_LEVEL = 0.45
MAX_SHARPNESS = 40.0
"""Bound of the learned inverse temperature."""


class Seen(NamedTuple):
    """A mouth as the expert sees it: its unit embedding (B, 128) and the features on the way there."""

    embedding: Tensor
    features: tuple[Tensor, ...]


class SyncExpert(nn.Module):
    """Embeds one mouth and one mel window so that those of the same moment lie together (InfoNCE)."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(ConvNorm(12, 32), ConvNorm(32, 48, 2))
        self.middle = nn.Sequential(Residual(48), ConvNorm(48, 64, 2))
        self.coarse = nn.Sequential(Residual(64), ConvNorm(64, 96, 2))
        self.face_head = nn.Sequential(nn.Flatten(), nn.Linear(96 * 3 * 5, EMBEDDING))
        self.sound = nn.Sequential(
            ConvNorm(1, 24, (2, 1)),
            ConvNorm(24, 40, (2, 1)),
            ConvNorm(40, 64, (2, 2)),
            ConvNorm(64, 96, (2, 2)),
            nn.Flatten(),
            nn.Linear(96 * 5 * 4, EMBEDDING),
            nn.SiLU(),
            nn.Linear(EMBEDDING, EMBEDDING),
        )
        self.log_sharpness = nn.Parameter(torch.tensor(2.5))

    def see(self, faces: Tensor) -> Seen:
        """Look at the mouths of faces (B, 3, H, 96), 0..1, of which the lowest 48 rows are used."""
        mouth = faces[:, :, -48:, 12:84] - MEAN_LEVEL
        fine = self.fine(functional.pixel_unshuffle(mouth, 2) * 2)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        return Seen(functional.normalize(self.face_head(coarse), dim=1), (fine, middle, coarse))

    def hear(self, mel: Tensor) -> Tensor:
        """Return the unit embeddings (B, 128) of mel windows (B, 1, 80, 16)."""
        return functional.normalize(self.sound(mel * 0.25), dim=1)

    def scores(self, faces: Tensor, sounds: Tensor) -> Tensor:
        """Return how well face embeddings (A, 128) fit sound embeddings (B, 128), as logits (A, B)."""
        return self.log_sharpness.exp().clamp(max=MAX_SHARPNESS) * (faces @ sounds.T)


def contrast(scores: Tensor) -> Tensor:
    """Return the loss of picking the right sound for each face, and the right face for each sound."""
    right = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)) / 2
