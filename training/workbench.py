"""Assembles a training run: pack, cache, shapes and stage, from the folders that a command names."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from app.errors import EngineUnavailable, InvalidRequest
from training.batches import BatchSource
from training.cache import Cache, Span, open_cache
from training.checkpoints import refuse_checkpoint
from training.loop import CHECKPOINT, Run
from training.pack import load_pack
from training.sampling import MomentSampler, is_usable
from training.settings import StageName, TrainSettings, load_settings
from training.shapes import ShapeTrack, measure_shapes
from training.stages import make_stage
from training.team import Team, join_team

Progress = Callable[[int, int], None]


class Workbench:
    """A pack and a folder of runs: ``runs/<stage>`` holds a stage's checkpoint, journal and sheets."""

    def __init__(
        self, pack: Path, runs: Path, device: str = "auto", progress: Progress | None = None
    ) -> None:
        """Find the pack. ``progress`` is told while it is decoded."""
        self.runs = runs
        self._pack, self._progress = load_pack(pack), progress
        self._team: Team = join_team()
        self.device = pick_device(device)

    @cached_property
    def cache(self) -> Cache:
        """The decoded pack; it is decoded into ``runs/cache`` the first time, which takes a while."""
        return open_cache(self._pack, self.runs / "cache", self._progress)

    def run(self, name: StageName, recipe: Path, start: Path | None = None) -> Run:
        """Return the run of a stage; nothing is decoded for it.

        A run without a checkpoint starts from the Wav2Lip checkpoint ``start``, if one is given; one with a
        checkpoint goes on from that, and ``start`` raises InvalidRequest.
        """
        settings = load_settings(recipe, name)
        if start:
            refuse_checkpoint(self.checkpoint(name), start)
        stage = make_stage(name, settings, self.device, team=self._team, expert=self.checkpoint("expert"))
        if start:
            stage.start_from(start)
        return Run(stage, self.runs / name)

    def batches(self, settings: TrainSettings) -> tuple[BatchSource, BatchSource | None]:
        """Return the batches of a stage, and the held-out batches of its sheets, if there are any."""
        kept, held = settings.held_out.split(self.cache.spans)
        track = measure_shapes(self.cache)
        source = self._source(kept, track, settings)
        usable = [span for span in held if is_usable(span)]
        return source, self._source(usable, track, settings) if usable else None

    def checkpoint(self, name: StageName) -> Path:
        """Return where the checkpoint of a stage lies."""
        return self.runs / name / CHECKPOINT

    def _source(self, spans: list[Span], track: ShapeTrack, settings: TrainSettings) -> BatchSource:
        sampler = MomentSampler(self.cache, spans, track, settings)
        return BatchSource(self.cache, track, sampler, self.device, settings.seed)


def pick_device(name: str) -> Any:
    """Return the torch device of this name; ``auto`` takes CUDA where it works.

    Raises InvalidRequest for a name that torch does not know, EngineUnavailable for CUDA without a GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidRequest(f"The device is auto, cpu, cuda or cuda:N; {name!r} was given.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("There is no CUDA GPU that torch can use: train with --device cpu.")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # batches all have one size
    return device
