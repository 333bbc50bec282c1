"""The adversarial finish: a critic that looks at mouths, and learns beside the generator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from training.checkpoints import load_weights
from training.networks.blocks import Tensor
from training.networks.critic import PatchCritic
from training.networks.mouthpiece import SHAPE_DIMS
from training.team import Team

_LEARNING_RATE = 4e-4
_FEATURES = 2.0
"""Weight of unlike features beside that of the verdict."""


class Adversary:
    """A patch critic with its own optimiser; ``mixed`` gives the context in which it computes."""

    def __init__(self, device: Any, mixed: Callable[[], Any], team: Team) -> None:
        self.critic = PatchCritic(SHAPE_DIMS).to(device).to(memory_format=torch.channels_last)
        self._mixed, self._team = mixed, team
        self._optimizer = torch.optim.AdamW(
            self.critic.parameters(), _LEARNING_RATE, betas=(0.5, 0.9), fused=True
        )

    def learn(self, made: Tensor, true: Tensor, shape: Tensor) -> Tensor:
        """Teach the critic to tell made pictures (B, 3, H, W) from true ones; return its hinge loss."""
        real, _ = self._judge(torch.cat([true, made.detach()]), torch.cat([shape, shape]))
        verdict, fake = real.chunk(2)
        loss = functional.relu(1 - verdict).mean() + functional.relu(1 + fake).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._team.average_gradients(self.critic.parameters())
        self._optimizer.step()
        return loss.detach()

    def losses(self, made: Tensor, true: Tensor, shape: Tensor, weight: float) -> dict[str, Tensor]:
        """Return what the generator is to mend: the verdict, and features unlike those of the truth."""
        self.critic.requires_grad_(False)
        verdict, features = self._judge(made, shape)
        with torch.no_grad():
            _, wanted = self._judge(true, shape)
        self.critic.requires_grad_(True)
        apart = sum((a - b).abs().float().mean() for a, b in zip(features, wanted, strict=True))
        return {"verdict": -weight * verdict.mean(), "features": _FEATURES * weight * apart}

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Go on from the state saved in ``path``; raises InvalidModel if it is of another architecture."""
        load_weights(self.critic, state["critic"], path)
        self._optimizer.load_state_dict(state["optimizer"])

    def _judge(self, pictures: Tensor, shape: Tensor) -> tuple[Tensor, list[Tensor]]:
        with self._mixed():
            verdict, features = self.critic(pictures.contiguous(memory_format=torch.channels_last), shape)
        return verdict.float(), features
