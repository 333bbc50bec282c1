"""Trains the network that marks what covers a mouth, and goes on with a training that was stopped."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.errors import InvalidRequest
from app.faces.hidden import CROP_SIZE
from training.checkpoints import load_checkpoint, load_weights, refuse_checkpoint, save_checkpoint
from training.hidden.faces import Footage
from training.hidden.scenes import Scene, SceneMaker
from training.hidden.settings import SECTION, HiddenSettings
from training.hidden.written import take_up
from training.journal import Journal
from training.networks.hidden_mouth import HiddenMouth
from training.stage import cpu_has_bf16

CHECKPOINT: Final = "checkpoint.pt"
_LOG_EVERY: Final = 100
_SAVE_EVERY: Final = 100
"""Steps."""
_LEAST_AREA: Final = 20.0
"""Pixels that are added to both areas of the overlap, so that small ones do not decide."""

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class People:
    """Footage to train on, out of videos and out of a pack, and footage of others to choose on."""

    filmed: list[Footage]
    packed: list[Footage]
    held_out: list[Footage]


def split_people(filmed: list[Footage], packed: list[Footage], settings: HiddenSettings) -> People:
    """Take the frames of ``left_out`` away, and every so many-th person of both kinds out of training.

    Raises InvalidRequest if nobody is left.
    """
    every, kinds = settings.held_out_every, []
    for footage in (filmed, packed):
        cleared = [_clear(one, settings.left_out.get(one.name)) for one in footage]
        kinds.append([one for one in cleared if len(one.faces)])
    taught = [[one for index, one in enumerate(kind) if index % every] for kind in kinds]
    if not any(taught):
        raise InvalidRequest("Fewer than two people show a face: give more, to train on some of them.")
    return People(taught[0], taught[1], [one for kind in kinds for one in kind[::every]])


def check_start(start: Path, runs: Path) -> None:
    """Tell whether training can start from the file ``start``, before faces are followed for it.

    Raises InvalidModel if this stage did not write it, InvalidRequest if there is a checkpoint, from which
    training goes on.
    """
    refuse_checkpoint(runs / SECTION / CHECKPOINT, start)
    take_up(start, HiddenMouth(), torch.zeros(1, 3, CROP_SIZE, CROP_SIZE))


def train_hidden(
    people: People,
    settings: HiddenSettings,
    runs: Path,
    report: Report | None = None,
    *,
    start: Path | None = None,
) -> HiddenMouth:
    """Train on ``people`` and return the network, evaluating; ``runs/hidden`` has checkpoint and journal.

    ``start`` is a file that this stage wrote before: its weights are those of the first step. Raises as
    :func:`check_start` does.
    """
    folder = runs / SECTION
    folder.mkdir(parents=True, exist_ok=True)
    if start:
        check_start(start, runs)
    torch.manual_seed(settings.seed)
    network = HiddenMouth()
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    maker = SceneMaker(people.filmed, people.packed, settings)
    done, steps = (
        _resume(folder / CHECKPOINT, network, optimizer),
        max(1, settings.samples // settings.batch),
    )
    if start:
        take_up(start, network, _batch(maker, settings, 0)[0])
    journal = Journal(folder, done)
    started, sums = time.monotonic() - journal.seconds, np.zeros(2)
    network.train()
    for step, batch in _batches(maker, settings, done, steps):
        rate = settings.learning_rate * (0.5 + 0.5 * cos(pi * step / steps))
        sums += _learn(network, optimizer, batch, settings, rate)
        if step % _LOG_EVERY == 0:
            entry = {"cross_entropy": sums[0] / _LOG_EVERY, "overlap": sums[1] / _LOG_EVERY}
            passed = time.monotonic() - started
            journal.enter(
                {
                    "step": step,
                    "samples": step * settings.batch,
                    "seconds": passed,
                    "learning_rate": rate,
                    **entry,
                }
            )
            sums[:] = 0
        if step % _SAVE_EVERY == 0 or step == steps:
            _save(folder / CHECKPOINT, network, optimizer, step)
        if report:
            report(step, steps)
    network.eval()
    return network


def as_tensors(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Return pictures (B, 3, 96, 96) in 0..1, and what is hidden (B, 96, 96)."""
    pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes]))
    hidden = torch.from_numpy(np.stack([scene.hidden for scene in scenes]))
    return pictures.permute(0, 3, 1, 2).float() / 255, hidden


def _clear(footage: Footage, span: list[int] | None) -> Footage:
    if span is None:
        return footage
    kept = np.ones(len(footage.faces), np.bool_)
    kept[span[0] : span[1] + 1] = False
    return Footage(footage.name, footage.faces[kept], footage.points[kept])


def _batches(
    maker: SceneMaker, settings: HiddenSettings, done: int, steps: int
) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Yield the steps that are left with their batches; one is drawn while the one before is learnt."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(_batch, maker, settings, done + 1)
        for step in range(done + 1, steps + 1):
            batch, ahead = ahead.result(), pool.submit(_batch, maker, settings, step + 1)
            yield step, batch


def _batch(maker: SceneMaker, settings: HiddenSettings, step: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng((settings.seed, step))
    return as_tensors([maker.draw(rng) for _ in range(settings.batch)])


def _learn(
    network: HiddenMouth,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    settings: HiddenSettings,
    rate: float,
) -> tuple[float, float]:
    """Take one step; return cross entropy and lack of overlap (Dice)."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    pictures, hidden = batch
    with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
        logits = network(pictures)
    logits = logits.float()
    entropy = functional.binary_cross_entropy_with_logits(logits, hidden)
    found = logits.sigmoid()
    common = (found * hidden).sum((1, 2))
    areas = (found + hidden).sum((1, 2))
    missed = (1 - (2 * common + _LEAST_AREA) / (areas + _LEAST_AREA)).mean()
    optimizer.zero_grad()
    (entropy + settings.overlap_weight * missed).backward()
    optimizer.step()
    return float(entropy.detach()), float(missed.detach())


def _resume(path: Path, network: HiddenMouth, optimizer: torch.optim.Optimizer) -> int:
    """Take up what a checkpoint holds, if there is one; return the steps that are done."""
    if not path.is_file():
        return 0
    content = load_checkpoint(path, SECTION)
    load_weights(network, content["weights"], path)
    optimizer.load_state_dict(content["optimizer"])
    return int(content["step"])


def _save(path: Path, network: HiddenMouth, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {"weights": network.state_dict(), "optimizer": optimizer.state_dict()}
    save_checkpoint(path, {"stage": SECTION, "step": step, **state})
