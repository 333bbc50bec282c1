"""The stages of training: what each one learns, from which batch, by which losses."""

from pathlib import Path
from typing import TypeVar, assert_never

import torch
from torch import Tensor

from app.mouths.painter import FIRST_ROW
from app.mouths.points import SPEECH_POINTS
from app.wav2lip.checkpoint import load_network
from app.wav2lip.network import Wav2Lip
from training.batches import Batch, BatchSource
from training.checkpoints import load_checkpoint, load_weights, save_checkpoint
from training.exported import load_exported
from training.losses import as_seen, reading_losses, rendering_losses
from training.networks.face import Rendering, ShapeToFace
from training.networks.reader import LandmarkReader
from training.networks.sync_expert import SyncExpert, contrast
from training.settings import StageName, TrainSettings
from training.stage import Stage
from training.team import Team

OFFICIAL = "wav2lip.pth"
"""Name of the checkpoint in the official layout."""
_START_STEP, _START_SAMPLES = 1 << 39, 256
"""The step whose samples are shown to weights of a model file: no run gets there."""

_Network = TypeVar("_Network", SyncExpert, LandmarkReader)


class ExpertStage(Stage):
    """Learns which sound belongs to which mouth."""

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


class ReaderStage(Stage):
    """Learns to find the points that speech moves in true pictures."""

    name = "reader"
    need_sync = False

    def __init__(self, settings: TrainSettings, device: torch.device, team: Team) -> None:
        super().__init__(LandmarkReader(len(SPEECH_POINTS)), settings, device, team)

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Find the points of targets and references."""
        batch = self.batch(source, step)
        lower = torch.cat([batch.target, batch.face[:, 3:]])[:, :, FIRST_ROW:]
        with self.mixed():
            found = self.network(lower.contiguous(memory_format=torch.channels_last)).points
        wanted = as_seen(batch.points.transpose(0, 1).flatten(0, 1))
        return reading_losses(found, wanted, self.settings.losses)


class FaceStage(Stage):
    """Learns to give a face a stated mouth shape."""

    name = "face"
    need_sync = False

    def __init__(
        self, settings: TrainSettings, device: torch.device, team: Team, reader: LandmarkReader | None
    ) -> None:
        super().__init__(ShapeToFace(), settings, device, team)
        self._reader = reader.to(device).eval().requires_grad_(False) if reader else None

    def start_from(self, model: Path, source: BatchSource) -> None:
        """Take the network of an exported model."""
        batch = source.batch(_START_STEP, _START_SAMPLES)
        load_exported(self.network, model, "face", lambda: self.network(batch.shape, batch.face))

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Render the target's own shape onto its reference, and compare."""
        batch = self.batch(source, step)
        with self.mixed():
            rendering = self.network.render(batch.shape, batch.face)
        made = Rendering(*(part.float() for part in rendering))
        return {
            **rendering_losses(made, batch, self.settings.losses),
            **self._read(made.face, batch.target[:, :, FIRST_ROW:]),
            **self.criticized(made.face, batch, step),
        }

    def preview(self, batch: Batch) -> Tensor:
        """Return the faces for the targets' own shapes."""
        faces: Tensor = self.network(batch.shape, batch.face)
        return faces

    def _read(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Return how differently the reader reads what was made and what is true."""
        if self._reader is None:
            return {}
        with self.mixed():
            found = self._reader(made.contiguous(memory_format=torch.channels_last))
            with torch.no_grad():
                wanted = self._reader(true.contiguous(memory_format=torch.channels_last))
        apart = sum(
            (a - b).abs().float().mean() for a, b in zip(found.features, wanted.features, strict=True)
        )
        weight = self.settings.reader_weight
        read = reading_losses(found.points, wanted.points, self.settings.losses)
        return {
            **{name: weight * loss for name, loss in read.items()},
            "likeness": self.settings.losses.likeness * weight * apart,
        }


class Wav2LipStage(Stage):
    """Trains the official network: L1, a frozen sync expert, and a critic at the end."""

    name = "wav2lip"

    def __init__(
        self, settings: TrainSettings, device: torch.device, team: Team, expert: SyncExpert | None
    ) -> None:
        super().__init__(Wav2Lip(), settings, device, team)
        self._expert = expert.to(device).eval().requires_grad_(False) if expert else None

    def start_from(self, model: Path, source: BatchSource) -> None:
        """Take the weights of a Wav2Lip checkpoint."""
        self.network.load_state_dict(load_network(model).state_dict())

    def losses(self, source: BatchSource, step: int) -> dict[str, Tensor]:
        """Compare the face with the true one, and ask the expert whether it says the sound."""
        batch = self.batch(source, step)
        with self.mixed():
            made = self.network(batch.mel, batch.face)
        made = made.float()
        losses = {"pixels": (made - batch.target).abs().mean()}
        if self._expert and self.settings.sync_weight:
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
    name: StageName,
    settings: TrainSettings,
    device: torch.device,
    *,
    team: Team,
    teachers: dict[StageName, Path],
) -> Stage:
    """Return a stage with fresh weights, drawn from the settings' seed.

    ``teachers`` are the checkpoints of the trained stages from which this one learns. Raises ModelNotFound or
    InvalidModel if they cannot be had.
    """
    torch.manual_seed(settings.seed)
    if name == "expert":
        return ExpertStage(settings, device, team)
    if name == "reader":
        return ReaderStage(settings, device, team)
    if name == "face":
        reader = LandmarkReader(len(SPEECH_POINTS))
        return FaceStage(settings, device, team, _taught(reader, "reader", teachers))
    if name == "wav2lip":
        return Wav2LipStage(settings, device, team, _taught(SyncExpert(), "expert", teachers))
    assert_never(name)


def _taught(network: _Network, name: StageName, teachers: dict[StageName, Path]) -> _Network | None:
    """Return the network with the weights of a trained stage, or nothing if that is no teacher here."""
    if name not in teachers:
        return None
    load_weights(network, load_checkpoint(teachers[name], name)["average"], teachers[name])
    return network
