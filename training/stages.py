"""The stages of training, with their batches and losses."""

from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor

from app.wav2lip.checkpoint import load_network
from app.wav2lip.network import Wav2Lip
from training.batches import Batch, BatchSource
from training.checkpoints import load_checkpoint, load_weights, save_checkpoint
from training.networks.sync_expert import SyncExpert, contrast
from training.settings import StageName, TrainSettings
from training.stage import Stage
from training.team import Team

OFFICIAL = "wav2lip.pth"
"""Name of the checkpoint in the official layout."""


class ExpertStage(Stage):
    """Learns which audio belongs to which mouth."""

    name = "expert"

    def __init__(self, settings: TrainSettings, device: torch.device, team: Team) -> None:
        super().__init__(SyncExpert(), settings, device, team)

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Contrast among all samples, and among the moments of the same clip, where only the mouth tells."""
        batch = self.batch(source, step)
        with self.mixed():
            seen, heard = self.network.see(batch.target).embedding, self.network.hear(batch.mel)
        scores = self.network.scores(seen.float(), heard.float())
        same = batch.clips[:, None] == batch.clips
        within = scores.masked_fill(~same, -1e4)
        return {"across": 0.5 * contrast(scores), "within": 0.5 * contrast(within)}


class Wav2LipStage(Stage):
    """Trains the official network: L1, a frozen sync expert, and a critic at the end."""

    name = "wav2lip"

    def __init__(
        self, settings: TrainSettings, device: torch.device, team: Team, expert: SyncExpert | None
    ) -> None:
        super().__init__(Wav2Lip(), settings, device, team)
        self._expert = expert.to(device).eval().requires_grad_(False) if expert else None

    def start_from(self, model: Path) -> None:
        """Take the weights of a Wav2Lip checkpoint."""
        self.network.load_state_dict(load_network(model).state_dict())

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Compare the face with the real one, and score its sync with the expert."""
        batch = self.batch(source, step)
        with self.mixed():
            made = self.network(batch.mel, batch.face)
        made = made.float()
        losses = {"pixels": (made - batch.target).abs().mean()}
        if self._expert:
            scores = self._expert.scores(self._expert.see(made).embedding, self._expert.hear(batch.mel))
            losses["sync"] = self.settings.sync_weight * contrast(scores)
        return {**losses, **self.criticized(made, batch, step)}

    def preview(self, batch: Batch) -> Tensor:
        """Return the faces that say the targets' own sounds."""
        faces: Tensor = self.network(batch.mel, batch.face)
        return faces

    def publish(self, folder: Path, step: int, average: dict[str, Tensor]) -> None:
        """Write the averaged weights in the layout of the official checkpoints."""
        content = {"state_dict": average, "optimizer": None, "global_step": step, "global_epoch": 0}
        save_checkpoint(folder / OFFICIAL, content)


def make_stage(
    name: StageName, settings: TrainSettings, device: torch.device, *, team: Team, expert: Path
) -> Stage:
    """Return a stage with fresh weights, drawn from the settings' seed.

    ``expert`` is the checkpoint of the trained expert, which is read where the settings ask for its verdict.
    Raises ModelNotFound or InvalidModel if it cannot be had.
    """
    torch.manual_seed(settings.seed)
    if name == "expert":
        return ExpertStage(settings, device, team)
    if name == "wav2lip":
        return Wav2LipStage(settings, device, team, _trained(expert) if settings.sync_weight else None)
    assert_never(name)


def _trained(checkpoint: Path) -> SyncExpert:
    expert = SyncExpert()
    load_weights(expert, load_checkpoint(checkpoint, "expert")["average"], checkpoint)
    return expert
