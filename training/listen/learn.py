"""How one head is taught, and what heads make of a talk."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.listen.bank import Bank
from training.listen.features import Features
from training.listen.settings import ListenSettings
from training.listen.talks import FrameTimes, Talk
from training.networks.blocks import constant
from training.networks.ear import AFTER, BEFORE, OPENING, SHAPES, SPEECH, Head

Heard = npt.NDArray[np.float32]
"""float32 (n, 10): what heads make of a sound at given times, in the order of the network's outputs."""

_SHAPE_WEIGHTS: Final = (1.0, 1.0, 1.0, 0.4, 0.4, 0.4, 0.3, 0.3)
"""The last components and the teeth can hardly be heard."""
_COMPARED: Final = slice(OPENING, SHAPES.start + 3)
"""The opening and the first components: what a clip's course is compared in."""
_OPENING_BETA, _SHAPE_BETA = 0.25, 0.5
"""Where the loss turns from a square into a distance."""
_LEAST_SQUARE: Final = 1e-3
_WARM_UP: Final = 30
"""Steps over which the learning rate rises."""


def train_head(bank: Bank, settings: ListenSettings, seed: int) -> Head:
    """Return a head that was taught from nothing; the average of its weights over the last steps."""
    torch.manual_seed(seed)
    rng = np.random.default_rng((settings.seed, seed))
    head = make_head(settings, bank.dims)
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=settings.weight_decay)
    steps = settings.samples // (settings.clips * settings.per_clip)
    average = {name: value.clone() for name, value in head.state_dict().items()}
    for step in range(steps):
        rate = settings.learning_rate * min(1, (step + 1) / _WARM_UP)
        for group in optimizer.param_groups:
            group["lr"] = max(rate * (0.5 + 0.5 * np.cos(np.pi * step / steps)), 1e-5)
        batch = bank.draw(rng)
        loss = head_loss(head(batch.features)[:, 0], batch.targets, settings)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 2.0)
        optimizer.step()
        keep = min(settings.ema, (step + 1) / (step + 10))
        for name, value in head.state_dict().items():
            average[name] = average[name] * keep + value * (1 - keep) if value.is_floating_point() else value
    head.load_state_dict(average)
    head.eval()
    return head


def make_head(settings: ListenSettings, dims: int) -> Head:
    """Return a head with fresh weights for an encoder's rows of ``dims`` numbers."""
    return Head(
        dims,
        layers=len(settings.layers),
        narrow=settings.narrow,
        width=settings.width,
        drop_input=settings.drop_input,
        drop=settings.drop,
    )


def head_loss(made: Tensor, wanted: Tensor, settings: ListenSettings) -> Tensor:
    """Return the loss of a batch: of talks the correlation within each clip too, of all the distance."""
    talks = settings.clips * settings.per_clip
    opening = functional.smooth_l1_loss(made[:, OPENING], wanted[:, OPENING], beta=_OPENING_BETA)
    shapes = functional.smooth_l1_loss(made[:, SHAPES], wanted[:, SHAPES], reduction="none", beta=_SHAPE_BETA)
    known = ~torch.isnan(wanted[:, SPEECH])
    speech = functional.binary_cross_entropy_with_logits(made[known, SPEECH], wanted[known, SPEECH])
    alike = _correlation(made[:talks, _COMPARED], wanted[:talks, _COMPARED], settings)
    return (
        settings.correlation_weight * (1 - alike[:, 0]).mean()
        + settings.shape_correlation_weight * (1 - alike[:, 1:]).mean()
        + settings.distance_weight * opening
        + settings.shape_weight * (shapes * constant(_SHAPE_WEIGHTS, shapes.device)).mean()
        + settings.speech_weight * speech
    )


def _correlation(made: Tensor, wanted: Tensor, settings: ListenSettings) -> Tensor:
    """Return the correlation (clips, outputs) of what is made with what is wanted, within each clip."""
    shape = (settings.clips, settings.per_clip, -1)
    apart = [part.reshape(shape) - part.reshape(shape).mean(dim=1, keepdim=True) for part in (made, wanted)]
    both = (apart[0] * apart[1]).sum(dim=1)
    squares = [part.square().sum(dim=1) for part in apart]
    return both / torch.sqrt(squares[0] * squares[1] + _LEAST_SQUARE * settings.per_clip)


def hear_grid(heads: Sequence[Any], features: Features, index: int, end: int) -> Heard:
    """Return the mean of what heads make of a sound at rows 0 to ``end`` of its time."""
    zero = int(features.zero[index])
    rows = torch.from_numpy(features.rows[zero - BEFORE : zero + end + AFTER][None]).float()
    with torch.inference_mode():
        heard: Heard = torch.stack([head(rows) for head in heads]).mean(dim=0)[0].numpy()
    return heard


def heard_at(grid: Heard, times: FrameTimes) -> Heard:
    """Return what is heard at ``times``, between the rows of a grid of 50 a second."""
    places = np.clip(times * 50, 0, len(grid) - 1.001)
    low = places.astype(int)
    share = (places - low)[:, None]
    return np.asarray(grid[low] * (1 - share) + grid[low + 1] * share, np.float32)


def row_count(talk: Talk) -> int:
    """Return how many rows of 50 a second a talk's sound has."""
    return len(talk.samples) // 320
