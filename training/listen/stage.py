"""The stage ``listen`` from its first step: people, features, lags, heads."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from app.errors import InvalidModel, InvalidRequest, MouthpieceError
from app.media.sound import SPEECH_RATE, SpeechSamples
from training.cache import open_cache
from training.card import Data, data_of
from training.checkpoints import load_checkpoint, load_weights, save_checkpoint
from training.listen.bank import Bank
from training.listen.features import Features
from training.listen.kept import KeptFeatures
from training.listen.lags import find_lag
from training.listen.learn import Heard, hear_grid, make_head, row_count, train_head
from training.listen.settings import ListenSettings
from training.listen.talks import SUFFIXES, Talk, pack_talks, read_samples, video_talks
from training.listen.truth import Manner, manner_of
from training.networks.ear import Head
from training.networks.whisper import WhisperEncoder
from training.pack import load_pack

Progress = Callable[[str, int, int], None]
"""Told (what is being done, how much of it is done, how much there is)."""

STAGE: Final = "listen"
_LONGEST_QUIET: Final = 180 * SPEECH_RATE


@dataclass(frozen=True)
class Taught:
    """What the stage leaves.

    ``average_span`` is the average range of opening of the people who taught; ``data`` says for the card who
    they were; ``encoder`` is the SHA-256 of the encoder whose rows the heads read.
    """

    heads: list[Head]
    average_span: float
    data: Data
    encoder: str


@dataclass(frozen=True)
class Sources:
    """What the stage learns from. ``quiet`` are recordings in which nobody speaks, music above all."""

    talks: Sequence[Talk]
    quiet: Sequence[SpeechSamples]
    encoder: WhisperEncoder
    quiet_licence: str = "unknown"


@dataclass(frozen=True)
class Material:
    """What heads are taught with: talks, how their people hold their mouths, and features of all sounds."""

    talks: list[Talk]
    manners: dict[str, Manner]
    copies: list[Features]
    quiet: Features

    @property
    def average_span(self) -> float:
        """The average range of the people's openings."""
        return float(np.mean([manner.span for manner in self.manners.values()]))

    def bank(self, indices: Sequence[int], settings: ListenSettings) -> Bank:
        """Return the moments of the talks at ``indices`` to learn from."""
        return Bank(self.talks, indices, self.manners, self.average_span, self.copies, self.quiet, settings)


def train_listen(sources: Sources, settings: ListenSettings, runs: Path, progress: Progress) -> Taught:
    """Teach the heads: first those of folds of people, by which the lags are found, then those that stay.

    Raises InvalidRequest if there is nothing to teach them with.
    """
    material = _material(sources, settings, runs / STAGE, progress)
    if material.bank(range(len(material.talks)), settings).is_empty:
        raise InvalidRequest(
            f"None of the {len(material.talks)} clips shows a mouth in {settings.per_clip} frames whose "
            "sound is there: prepare longer ones."
        )
    aligned = aligned_talks(material, settings, progress)
    final = Material(aligned, material.manners, material.copies, material.quiet)
    bank = final.bank(range(len(aligned)), settings)
    heads = []
    for number in range(settings.heads):
        heads.append(train_head(bank, settings, number))
        progress("Teaching heads", number + 1, settings.heads)
    data = data_of(material.talks, len(sources.quiet), sources.quiet_licence)
    return Taught(heads, material.average_span, data, sources.encoder.sha256)


def training_talks(
    pack: Path,
    runs: Path,
    videos: Path | None,
    settings: ListenSettings,
    progress: Progress,
    *,
    licence: str = "unknown",
) -> list[Talk]:
    """Return the talks to learn from: a pack and a folder of videos, without the held-out people.

    ``licence`` is that of the videos.
    """
    opened = load_pack(pack)
    cache = open_cache(opened, runs / "cache", lambda done, of: progress("Decoding the pack", done, of))
    kept, _ = settings.held_out.split(cache.spans)
    talks = pack_talks(opened, cache, kept, lambda done, of: progress("Reading the pack", done, of))
    if videos:
        paths = [path for path in videos_of(videos) if path.stem not in settings.held_out.groups]
        measured = runs / STAGE / "measured"
        talks += video_talks(
            paths, measured, lambda done, of: progress("Measuring videos", done, of), licence=licence
        )
    return talks


def quiet_recordings(folder: Path | None) -> list[SpeechSamples]:
    """Return the sounds of a folder in which nobody speaks, at most three minutes of each.

    Files without a sound are passed over.
    """
    sounds = []
    for path in sorted(folder.iterdir()) if folder else ():
        try:
            sounds.append(read_samples(path)[:_LONGEST_QUIET])
        except MouthpieceError:
            continue
    return sounds


def videos_of(folder: Path) -> list[Path]:
    """Return the videos of a folder, sorted; raises InvalidRequest if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InvalidRequest(f"There are no videos in {folder}: put in files such as .mp4, .mov or .webm.")
    return paths


def aligned_talks(material: Material, settings: ListenSettings, progress: Progress) -> list[Talk]:
    """Return the talks with the lags of their people taken out, found by heads that have not heard them.

    Of people without others to teach such heads, the lags stay as they are known.
    """
    grids = out_of_fold(material, settings, progress)
    lags: dict[str, float] = {}
    for person in material.manners:
        own = [index for index, talk in enumerate(material.talks) if talk.person == person and index in grids]
        if not own:
            continue
        lag = find_lag([material.talks[k] for k in own], [grids[k] for k in own], settings.lag_penalty)
        frames = sum(len(material.talks[k].times) for k in own)
        if lag.correlation >= settings.least_correlation and frames >= settings.least_lag_frames:
            lags[person] = lag.seconds
    return [talk.shifted(lags.get(talk.person, 0.0)) for talk in material.talks]


def out_of_fold(material: Material, settings: ListenSettings, progress: Progress) -> dict[int, Heard]:
    """Return, by the talk's index, what heads hear that have not been taught by its person.

    Talks are missing whose fold leaves nobody to teach heads.
    """
    folds = [fold_of(talk, settings.folds) for talk in material.talks]
    grids: dict[int, Heard] = {}
    for fold in range(settings.folds):
        others = [index for index, own in enumerate(folds) if own != fold]
        bank = material.bank(others, settings)
        if bank.is_empty:
            continue
        seeds = range(settings.fold_heads)
        heads = [train_head(bank, settings, settings.heads + fold * len(seeds) + seed) for seed in seeds]
        for index in (index for index, own in enumerate(folds) if own == fold):
            grids[index] = hear_grid(heads, material.copies[0], index, row_count(material.talks[index]) + 1)
        progress("Finding lags", fold + 1, settings.folds)
    return grids


def fold_of(talk: Talk, folds: int) -> int:
    """Return the part of the people that a talk's belongs to, the same in every run."""
    return zlib.crc32(f"{talk.set}{talk.person}".encode()) % folds


def save_taught(taught: Taught, runs: Path) -> Path:
    """Write the heads to the folder of runs; return the file."""
    path = runs / STAGE / "checkpoint.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "stage": STAGE,
        "heads": [head.state_dict() for head in taught.heads],
        "average_span": taught.average_span,
        "data": taught.data,
        "encoder": taught.encoder,
    }
    save_checkpoint(path, content)
    return path


def load_taught(settings: ListenSettings, runs: Path) -> Taught:
    """Read what the stage left; raises ModelNotFound or InvalidModel."""
    path = runs / STAGE / "checkpoint.pt"
    content = load_checkpoint(path, STAGE)
    if not {"data", "encoder"} <= content.keys():
        raise InvalidModel(
            f"The checkpoint {path} does not say what its heads were taught with, which a card must state: "
            "teach them again."
        )
    heads = []
    for state in content["heads"]:
        head = make_head(settings, state["down.weight"].shape[1]).eval()
        load_weights(head, state, path)
        heads.append(head)
    return Taught(heads, content["average_span"], content["data"], content["encoder"])


def _material(sources: Sources, settings: ListenSettings, folder: Path, progress: Progress) -> Material:
    manners = manners_of(sources.talks, settings)
    usable = [talk for talk in sources.talks if talk.person in manners]
    if not usable:
        raise InvalidRequest(
            f"None of the {len(sources.talks)} clips shows somebody who talks: prepare more footage."
        )
    kept = KeptFeatures(folder, usable, sources.encoder, settings)
    copies = []
    for copy in range(settings.copies):
        told = partial(progress, f"Listening to copy {copy + 1} of {settings.copies}")
        copies.append(kept.copy(copy, told))
    return Material(usable, manners, copies, kept.quiet(sources.quiet))


def manners_of(talks: Iterable[Talk], settings: ListenSettings) -> dict[str, Manner]:
    """Return the manners of those people who are seen to talk."""
    mouths: dict[str, list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]] = {}
    for talk in talks:
        if talk.seen.any():
            mouths.setdefault(talk.person, []).append(talk.mouths[talk.seen])
    manners = {person: manner_of(own) for person, own in mouths.items()}
    return {person: manner for person, manner in manners.items() if manner.span >= settings.least_range}
