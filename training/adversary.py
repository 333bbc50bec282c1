"""Adversarial training: a critic of mouths that learns alongside the generator."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from app.mouths.space import SHAPE_DIMS
from training.checkpoints import load_weights
from training.networks.critic import PatchCritic
from training.team import Team
from training.tuned import CriticNumbers


@dataclass(frozen=True)
class Mouths:
    """What the critic judges; pictures are BGR, 0..1."""

    made: Tensor
    """(B, 3, H, W)."""
    true: Tensor
    """(B, 3, H, W)."""
    shape: Tensor
    """(B, 8): the mouth shapes that the pictures should show."""
    inside: Tensor
    """(B, 1, H, W): 1 within the true inner lips."""


class Adversary:
    """A patch critic with its own optimiser; ``mixed`` returns its autocast context."""

    def __init__(
        self,
        device: torch.device,
        mixed: Callable[[], Any],
        team: Team,
        learning_rate: float,
        numbers: CriticNumbers,
    ) -> None:
        self.critic = PatchCritic(SHAPE_DIMS).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mixed, self._team, self._numbers = mixed, team, numbers
        self._optimizer = torch.optim.AdamW(
            self.critic.parameters(), learning_rate, betas=(0.5, 0.9), fused=True
        )

    def learn(self, mouths: Mouths) -> Tensor:
        """Train the critic to tell generated pictures from real ones; return its hinge loss."""
        pictures = torch.cat([mouths.true, mouths.made.detach()])
        verdicts, _ = self._judge(pictures, torch.cat([mouths.shape, mouths.shape]))
        real, fake = verdicts.chunk(2)
        missed = functional.relu(1 - real) + functional.relu(1 + fake)
        loss = (missed * self._weights(mouths.inside, missed)).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._team.average_gradients(self.critic.parameters())
        self._optimizer.step()
        return loss.detach()

    def losses(self, mouths: Mouths, weight: float) -> dict[str, Tensor]:
        """Return the generator's losses: the critic's verdict, and feature matching."""
        self.critic.requires_grad_(False)
        verdict, features = self._judge(mouths.made, mouths.shape)
        with torch.no_grad():
            _, wanted = self._judge(mouths.true, mouths.shape)
        self.critic.requires_grad_(True)
        apart = torch.stack(
            [(a - b).abs().float().mean() for a, b in zip(features, wanted, strict=True)]
        ).sum()
        fooled = (verdict * self._weights(mouths.inside, verdict)).mean()
        return {"verdict": -weight * fooled, "features": self._numbers.features * weight * apart}

    def state(self) -> dict[str, Any]:
        """Return the state needed to resume."""
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Resume from the state saved in ``path``; raises InvalidModel if it is of another architecture."""
        load_weights(self.critic, state["critic"], path)
        self._optimizer.load_state_dict(state["optimizer"])

    def _judge(self, pictures: Tensor, shape: Tensor) -> tuple[Tensor, list[Tensor]]:
        with self._mixed():
            verdict, features = self.critic(pictures.contiguous(memory_format=torch.channels_last), shape)
        return verdict.float(), features

    def _weights(self, inside: Tensor, patches: Tensor) -> Tensor:
        """Return the weight of each patch (B, 1, h, w), 1 on average."""
        share = functional.adaptive_avg_pool2d(inside, (patches.shape[-2], patches.shape[-1]))
        weights = 1 + self._numbers.inside * share
        return weights / weights.mean()
