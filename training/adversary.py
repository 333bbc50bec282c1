"""The adversarial finish: a critic that learns beside the generator."""

from typing import Any

import torch
from torch.nn import functional

from training.networks.blocks import Tensor
from training.networks.critic import PatchCritic

_LEARNING_RATE = 4e-4


class Adversary:
    """A patch critic with its own optimiser."""

    def __init__(self, device: Any) -> None:
        self.critic = PatchCritic().to(device)
        self._optimizer = torch.optim.AdamW(self.critic.parameters(), _LEARNING_RATE, betas=(0.5, 0.9))

    def learn(self, made: Tensor, true: Tensor) -> Tensor:
        """Teach the critic to tell made faces from true ones; return its hinge loss."""
        real, _ = self.critic(true)
        fake, _ = self.critic(made.detach())
        loss = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def losses(self, made: Tensor, true: Tensor, weight: float) -> dict[str, Tensor]:
        """Return what the generator is to mend: the verdict, and features unlike those of the truth."""
        self.critic.requires_grad_(False)
        verdict, features = self.critic(made)
        with torch.no_grad():
            _, wanted = self.critic(true)
        self.critic.requires_grad_(True)
        apart = sum((a - b).abs().mean() for a, b in zip(features, wanted, strict=True))
        return {"verdict": -weight * verdict.mean(), "features": 2 * weight * apart}

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.critic.load_state_dict(state["critic"])
        self._optimizer.load_state_dict(state["optimizer"])
