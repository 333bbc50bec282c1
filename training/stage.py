"""The base class of training stages: a network, its settings, and the losses of a step."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from app.errors import InvalidRequest
from training.adversary import Adversary, Mouths
from training.batches import MOUTH_HEIGHT, MOUTH_WIDTH, Batch, BatchSource
from training.settings import Precision, StageName, TrainSettings
from training.team import Team

_MOUTH = (..., slice(-len(MOUTH_HEIGHT), None), slice(MOUTH_WIDTH.start, MOUTH_WIDTH.stop))
"""The part of a face that the critic looks at."""


class Stage(ABC):
    """One network in training; the loop calls it for losses and sheets, and saves its state."""

    name: ClassVar[StageName]

    def __init__(self, network: nn.Module, settings: TrainSettings, device: torch.device, team: Team) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.settings, self.device, self.team = settings, device, team
        self.half = _computes_in_bf16(settings.precision, device)
        self.adversary = (
            Adversary(device, self.mixed, team, settings.critic_rate, settings.critic)
            if settings.critic_from < 1
            else None
        )

    @property
    def share(self) -> int:
        """How many samples of a batch this process takes."""
        return max(1, self.settings.batch // self.team.size)

    @abstractmethod
    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Return the losses of one step; training minimises their sum."""

    def start_from(self, model: Path) -> None:
        """Take the weights of a model file.

        Raises InvalidRequest if no model file holds this stage's network, InvalidModel if the
        file is of another kind or architecture.
        """
        raise InvalidRequest(f"The stage {self.name} is part of no model file: it starts from nothing.")

    def preview(self, batch: Batch) -> Tensor | None:
        """Return the faces (B, 3, 96, 96) that the network makes of ``batch``, if it makes faces."""
        return None

    def publish(self, folder: Path, step: int, average: dict[str, Tensor]) -> None:
        """Write the file for use outside training, if the stage makes one."""
        return

    def mixed(self) -> Any:
        """Return the context in which the network computes in bf16, where that is faster."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.half)

    def batch(self, source: BatchSource, step: int) -> Batch:
        """Return this process's part of a step's batch."""
        return source.batch(self.team.draw(step), self.share)

    def criticized(self, made: Tensor, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the critic's losses, once its part of the run has come."""
        if self.adversary is None or step < self.settings.critic_from * self.settings.steps:
            return {}
        mouths = Mouths(made[_MOUTH], batch.target[_MOUTH], batch.shape, batch.inner_mouth)
        judged = self.adversary.learn(mouths)
        return {**self.adversary.losses(mouths, self.settings.critic_weight), "critic": judged}


def _computes_in_bf16(precision: Precision, device: torch.device) -> bool:
    """Tell whether to compute in bf16: ``auto`` does on CUDA, and on CPUs that have instructions for it."""
    if precision == "auto":
        return torch.device(device).type == "cuda" or cpu_has_bf16()
    return precision == "bf16"


def cpu_has_bf16() -> bool:
    """Tell whether this CPU computes in bf16 itself.

    oneDNN calls every CPU with AVX-512 able: where the instructions are missing it emulates them, at a third
    of the speed of fp32.
    """
    able = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    emulated = torch.cpu._is_avx512_supported() and not torch.cpu._is_avx512_bf16_supported()
    return bool(able and not emulated)
