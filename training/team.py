"""Data-parallel training: several processes train one network, each on its part of every batch.

On a CPU, two processes of one thread each are faster than one of two threads, which wait for each other at
every layer. ``torchrun`` starts them and sets their ranks in environment variables. Gradients are averaged in
every step, so all hold the same weights, and a run of several is as repeatable as a run of one.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Team:
    """This process's rank in the team."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes checkpoints and journals."""
        return self.rank == 0

    def draw(self, step: int) -> int:
        """Return the number of the batch that this process takes in ``step``: no other takes it."""
        return step * self.size + self.rank

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every process's gradients by their mean over the team."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(together)
        parts = together.div_(self.size).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def join_team() -> Team:
    """Return the team that ``torchrun`` made this process a member of, or a team of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return Team(distributed.get_rank(), size)
