"""The stages of training: what each one learns, from which batch, by which losses."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, assert_never

import torch
from torch import nn
from torch.nn import functional

from app.wav2lip.checkpoint import load_network
from app.wav2lip.network import Wav2Lip
from training.adversary import Adversary
from training.augment import silences
from training.batches import Batch, BatchSource
from training.checkpoints import load_checkpoint, load_weights, save_checkpoint
from training.losses import mouth_weights, rendering_losses
from training.networks.blocks import Tensor
from training.networks.mouthpiece import FIRST_ROW, Rendering, ShapeToFace, SpeechToShape
from training.networks.sync_expert import SyncExpert, contrast
from training.settings import Precision, StageName, TrainSettings

OFFICIAL = "wav2lip.pth"
"""Name of the checkpoint in the official layout."""
_LOWER_HALF = 48
_SILENT_SHARE = 16
"""One sample in this many is silence, in which a mouth is closed."""


class Stage(ABC):
    """One network that is trained; the loop asks it for losses and sheets and saves its state."""

    name: ClassVar[StageName]
    need_sync: ClassVar[bool] = True
    """Whether it learns from clips without sound in sync as well."""

    def __init__(self, network: nn.Module, settings: TrainSettings, device: Any) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.settings, self.device = settings, device
        self.adversary = Adversary(device) if settings.critic_from < 1 else None
        self.half = _computes_in_bf16(settings.precision, device)
        self.extras: dict[str, Any] = {}
        """What the checkpoint holds beside the weights."""

    @abstractmethod
    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Return the losses of one step, whose sum is to fall."""

    def preview(self, batch: Batch) -> Tensor | None:
        """Return the faces (B, 3, 96, 96) that the network makes of ``batch``, if it makes faces."""
        return None

    def publish(self, folder: Path, step: int, average: dict[str, Tensor]) -> None:
        """Write what others than this training read, if there is such a thing."""
        return

    def mixed(self) -> Any:
        """Return the context in which the network computes in bf16, where that is faster."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.half)

    def _criticized(self, made: Tensor, true: Tensor, step: int) -> dict[str, Tensor]:
        """Return the critic's losses, once its part of the run has come."""
        if self.adversary is None or step < self.settings.critic_from * self.settings.steps:
            return {}
        self.adversary.learn(made, true)
        return self.adversary.losses(made, true, self.settings.critic_weight)


class ExpertStage(Stage):
    """Learns which sound belongs to which mouth."""

    name = "expert"

    def __init__(self, settings: TrainSettings, device: Any) -> None:
        super().__init__(SyncExpert(), settings, device)

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Contrast among all samples, and among the moments of the same clip, where only the mouth tells."""
        batch = source.batch(step, self.settings.batch)
        with self.mixed():
            seen, heard = self.network.see(batch.target).embedding, self.network.hear(batch.mel)
        scores = self.network.scores(seen.float(), heard.float())
        same = batch.clips[:, None] == batch.clips
        within = scores.masked_fill(~same, -1e4)
        return {"across": 0.5 * contrast(scores), "within": 0.5 * contrast(within)}


class SpeechStage(Stage):
    """Learns the shape of the mouth from sound alone."""

    name = "speech"

    def __init__(self, settings: TrainSettings, device: Any) -> None:
        super().__init__(SpeechToShape(), settings, device)

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Predict the shape; a part of the batch is replaced by silence, which means a closed mouth."""
        mel, shape = source.sounds(step, self.settings.batch)
        silent = max(1, len(mel) // _SILENT_SHARE)
        generator = torch.Generator(mel.device).manual_seed(step)
        mel = torch.cat([silences(silent, generator), mel[silent:]])
        shape = torch.cat([torch.zeros_like(shape[:silent]), shape[silent:]])
        with self.mixed():
            made = self.network(mel.contiguous(memory_format=torch.channels_last))
        return {"shape": functional.smooth_l1_loss(made.float(), shape, beta=0.5)}


class FaceStage(Stage):
    """Learns to give a face a stated mouth shape."""

    name = "face"
    need_sync = False

    def __init__(self, settings: TrainSettings, device: Any) -> None:
        super().__init__(ShapeToFace(), settings, device)

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Render the target's own shape onto its reference, and compare."""
        batch = source.batch(step, self.settings.batch)
        with self.mixed():
            rendering = self.network.render(batch.shape, batch.face)
        made = Rendering(*(part.float() for part in rendering))
        true = batch.target[:, :, FIRST_ROW:]
        lower = _LOWER_HALF - FIRST_ROW
        return {
            **rendering_losses(made, batch),
            **self._criticized(made.face[:, :, lower:], true[:, :, lower:], step),
        }

    def preview(self, batch: Batch) -> Tensor:
        """Return the faces for the targets' own shapes."""
        return self.network(batch.shape, batch.face)


class Wav2LipStage(Stage):
    """Trains the official network: L1, a frozen sync expert, and a critic at the end."""

    name = "wav2lip"

    def __init__(
        self, settings: TrainSettings, device: Any, expert: SyncExpert | None, official: Path | None
    ) -> None:
        super().__init__(load_network(official) if official else Wav2Lip(), settings, device)
        self.network.requires_grad_(True)
        self._expert = expert.to(device).eval().requires_grad_(False) if expert else None
        self._weights = mouth_weights(device)

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Compare the face with the true one, and ask the expert whether it says the sound."""
        batch = source.batch(step, self.settings.batch)
        with self.mixed():
            made = self.network(batch.mel, batch.face)
        made = made.float()
        losses = {"pixels": (made - batch.target).abs().mean()}
        if self._expert and self.settings.sync_weight:
            scores = self._expert.scores(self._expert.see(made).embedding, self._expert.hear(batch.mel))
            losses["sync"] = self.settings.sync_weight * contrast(scores)
        lower = (slice(None), slice(None), slice(_LOWER_HALF, None))
        return {**losses, **self._criticized(made[lower], batch.target[lower], step)}

    def preview(self, batch: Batch) -> Tensor:
        """Return the faces that say the targets' own sounds."""
        return self.network(batch.mel, batch.face)

    def publish(self, folder: Path, step: int, average: dict[str, Tensor]) -> None:
        """Write the averaged weights in the layout of the official checkpoints."""
        content = {"state_dict": average, "optimizer": None, "global_step": step, "global_epoch": 0}
        save_checkpoint(folder / OFFICIAL, content)


def make_stage(
    name: StageName,
    settings: TrainSettings,
    device: Any,
    *,
    expert: Path | None = None,
    official: Path | None = None,
) -> Stage:
    """Return a stage with fresh weights, drawn from the settings' seed.

    ``expert`` is the checkpoint of a trained sync expert, ``official`` a Wav2Lip checkpoint to start from;
    both are for the stage ``wav2lip``. Raises ModelNotFound or InvalidModel if they cannot be had.
    """
    torch.manual_seed(settings.seed)
    if name == "expert":
        return ExpertStage(settings, device)
    if name == "speech":
        return SpeechStage(settings, device)
    if name == "face":
        return FaceStage(settings, device)
    if name == "wav2lip":
        return Wav2LipStage(settings, device, _expert(expert) if expert else None, official)
    assert_never(name)


def _computes_in_bf16(precision: Precision, device: Any) -> bool:
    """Tell whether to compute in bf16: ``auto`` does on CUDA, and on CPUs that have instructions for it."""
    if precision == "auto":
        return bool(torch.device(device).type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return precision == "bf16"


def _expert(path: Path) -> SyncExpert:
    expert = SyncExpert()
    load_weights(expert, load_checkpoint(path, "expert")["average"], path)
    return expert
