"""Trains the network that sees how far lips part, writes it as the service reads it, and judges it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import cos, pi
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor
from torch.nn import functional

from app.errors import InvalidModel
from app.media.files import replacing
from app.mouths.lips_apart import MOUTH_SIZE, LipsApart
from app.wav2lip.onnx_writer import write_graph
from training.compact import compact
from training.hidden.faces import Footage
from training.journal import Journal
from training.lips.samples import Mouths, apart_by_mesh, mouths_of
from training.lips.settings import SECTION, LipsSettings
from training.networks.lips_apart import LipsApartNet

LARGEST_DIFFERENCE: Final = 0.3
"""What the service may see otherwise than torch, percent of the eyes' distance: weights are rounded."""
_LOG_EVERY: Final = 100
"""Steps."""

Report = Callable[[int, int], None]


def train_lips(
    people: Sequence[Footage], settings: LipsSettings, runs: Path, report: Report | None = None
) -> LipsApartNet:
    """Train on ``people`` and return the network, evaluating; ``runs/lips`` has the journal.

    It takes minutes on a CPU, so that a run that is stopped is begun again.
    """
    folder = runs / SECTION
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network, mouths = LipsApartNet(), Mouths(people, settings)
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    journal, steps = Journal(folder, 0), max(1, settings.samples // settings.batch)
    started, total = time.monotonic(), 0.0

    def batch(step: int) -> tuple[Tensor, Tensor]:
        drawn, apart = mouths.draw(np.random.default_rng((settings.seed, step)), settings.batch)
        return as_tensor(drawn), torch.from_numpy(apart)

    network.train()
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batch, 1)
        for step in range(1, steps + 1):
            (pictures, apart), ahead = ahead.result(), pool.submit(batch, step + 1)
            rate = settings.learning_rate * (0.5 + 0.5 * cos(pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            error = functional.smooth_l1_loss(network(pictures), apart, beta=settings.beta)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            total += float(error.detach())
            if step % _LOG_EVERY == 0:
                entry = {"learning_rate": rate, "error": total / _LOG_EVERY}
                passed = time.monotonic() - started
                journal.enter({"step": step, "samples": step * settings.batch, "seconds": passed, **entry})
                total = 0.0
            if report:
                report(step, steps)
    return network.eval()


def as_tensor(mouths: npt.NDArray[np.uint8]) -> Tensor:
    """Return mouths (B, 40, 56, 3), BGR, as the network takes them: (B, 3, 40, 56), 0..1."""
    return torch.from_numpy(mouths).permute(0, 3, 1, 2).float() / 255


def export_lips(network: LipsApartNet, output: Path, mouths: npt.NDArray[np.uint8]) -> float:
    """Write ``network`` to ``output`` with weights in fp16; return the largest difference from torch.

    The file takes its name only if the service sees in ``mouths`` (n, 40, 56, 3) what torch sees; the
    difference is in percent of the eyes' distance. Raises InvalidModel.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    width, height = MOUTH_SIZE
    with replacing(output) as unproven:
        write_graph(network, unproven, inputs={"mouths": (3, height, width)}, outputs=["apart"])
        written = onnx.load(unproven)
        compact(written)
        onnx.save(written, unproven)
        with torch.inference_mode():
            expected = network(as_tensor(mouths)).numpy()
        sees = LipsApart(unproven)
        difference = float(np.abs(np.array([sees(mouth) for mouth in mouths]) - expected).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise InvalidModel(
                f"{output} was not written: in the service it differs from torch by {difference:.2f} percent "
                f"of the eyes' distance, where {LARGEST_DIFFERENCE} are allowed; train it longer or again."
            )
    return difference


def correlations(sees: LipsApart, people: Sequence[Footage]) -> dict[str, float]:
    """Return how well what is seen follows the mesh of each of ``people``; nan where one stays the same."""
    found = {}
    for person in people:
        seen = np.array([sees(mouth) for mouth in mouths_of(person)])
        both = np.stack([seen, apart_by_mesh(person.points)])
        found[person.name] = float(np.corrcoef(both)[0, 1]) if (both.std(axis=1) > 0).all() else float("nan")
    return found
