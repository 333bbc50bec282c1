"""The training loop: steps, averages, checkpoints; it goes on where it was stopped."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from app.wav2lip.arrays import FaceCrops
from training.batches import Batch, BatchSource
from training.checkpoints import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from training.journal import Journal
from training.stage import Stage

CHECKPOINT: Final = "checkpoint.pt"
_SHEET_ROWS: Final = 8
_SHEET_STEP: Final = 1 << 40
"""The step whose moments are shown on contact sheets: no run gets there."""

Progress = Callable[[int, int], None]
"""Told (steps done, steps in all)."""


class Run:
    """One stage in training, and all that its checkpoint holds."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.step = 0
        schedule = stage.settings.schedule
        self._optimizer = torch.optim.AdamW(
            stage.network.parameters(),
            stage.settings.learning_rate,
            weight_decay=schedule.weight_decay,
            betas=(schedule.momentum, schedule.momentum_of_squares),
            fused=True,
        )
        self._average = {key: value.clone() for key, value in stage.network.state_dict().items()}
        if (folder / CHECKPOINT).is_file():
            self._restore()

    def train(self, source: BatchSource, shown: BatchSource | None, progress: Progress | None = None) -> None:
        """Train to the last step, from wherever the folder's checkpoint stands.

        ``source`` gives the batches, ``shown`` the held-out faces of the contact sheets. Raises StorageFull
        if a checkpoint cannot be written; the one before is kept.
        """
        settings, total = self.stage.settings, self.stage.settings.steps
        self.folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(self.folder, self.step)
        began = time.monotonic() - journal.seconds
        sums: dict[str, list[Tensor]] = defaultdict(list)
        while self.step < total:
            for name, value in self._advance(source).items():
                sums[name].append(value)
            last = self.step == total
            if not self.stage.team.leads:
                continue
            if last or self.step % settings.log_every == 0:
                means = {name: float(torch.stack(values).mean()) for name, values in sums.items()}
                journal.enter(self._entry(time.monotonic() - began, means))
                sums.clear()
            if shown and (last or self.step % settings.sheet_every == 0):
                self._show(journal, shown)
            if last or self.step % settings.checkpoint_every == 0:
                self.save()
            if progress:
                progress(self.step, total)

    def save(self) -> None:
        """Write the checkpoint."""
        adversary = self.stage.adversary
        save_checkpoint(
            self.folder / CHECKPOINT,
            {
                "stage": self.stage.name,
                "step": self.step,
                "network": self.stage.network.state_dict(),
                "average": self._average,
                "optimizer": self._optimizer.state_dict(),
                "adversary": adversary.state() if adversary else None,
            },
        )
        self.stage.publish(self.folder, self.step, self._average)

    def _restore(self) -> None:
        path = self.folder / CHECKPOINT
        content: Checkpoint = load_checkpoint(path, self.stage.name)
        load_weights(self.stage.network, content["network"], path)
        self._average = content["average"]
        self._average = {key: value.to(self.stage.device) for key, value in self._average.items()}
        self._optimizer.load_state_dict(content["optimizer"])
        if self.stage.adversary and content["adversary"]:
            self.stage.adversary.restore(content["adversary"], path)
        self.step = int(content["step"])

    def _advance(self, source: BatchSource) -> dict[str, Tensor]:
        """Take one step; return its losses, which are not waited for."""
        torch.manual_seed(self.stage.settings.seed * 1_000_003 + self.stage.team.draw(self.step))
        self.stage.network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        losses = self.stage.losses(source, self.step)
        self._optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.stage.team.average_gradients(self.stage.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.stage.network.parameters(), self.stage.settings.schedule.clip)
        self._optimizer.step()
        self.step += 1
        self._update_average()
        return {name: loss.detach() for name, loss in losses.items()}

    def _learning_rate(self) -> float:
        """Return a rate that rises over the first steps and falls as a cosine."""
        share = self.step / self.stage.settings.steps
        schedule = self.stage.settings.schedule
        least = schedule.least_rate
        fall = least + (1 - least) * (0.5 + 0.5 * math.cos(math.pi * share))
        return self.stage.settings.learning_rate * min(1.0, (self.step + 1) / schedule.warm_up) * fall

    def _update_average(self) -> None:
        kept = min(self.stage.settings.ema, (1 + self.step) / (10 + self.step))
        state = self.stage.network.state_dict()
        numbers = [key for key, value in state.items() if value.dtype.is_floating_point]
        with torch.no_grad():
            torch._foreach_lerp_(
                [self._average[key] for key in numbers], [state[key] for key in numbers], 1 - kept
            )
            for key in state.keys() - set(numbers):
                self._average[key].copy_(state[key])

    def _entry(self, seconds: float, means: dict[str, float]) -> dict[str, float]:
        samples = self.step * self.stage.settings.batch
        head = {"step": self.step, "samples": samples, "seconds": seconds}
        return {**head, "learning_rate": self._optimizer.param_groups[0]["lr"], **means}

    def _show(self, journal: Journal, source: BatchSource) -> None:
        """Write a sheet of reference, rendered and true faces, by the averaged weights."""
        network = self.stage.network
        trained = {key: value.clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self._average)
        network.eval()
        batch: Batch = source.batch(_SHEET_STEP, _SHEET_ROWS, augmented=False)
        with torch.no_grad():
            made = self.stage.preview(batch)
        network.load_state_dict(trained)
        if made is not None:
            journal.sheet(self.step, [_crops(batch.face[:, 3:]), _crops(made), _crops(batch.target)])


def _crops(faces: Tensor) -> FaceCrops:
    crops: Any = (faces.clamp(0, 1) * 255 + 0.5).byte().permute(0, 2, 3, 1).cpu().numpy()
    result: FaceCrops = crops
    return result
