"""Batches: moments from the cache, cropped, augmented and moved to the device."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from training import augment, geometry
from training.cache import Cache
from training.pack import CROP_SIZE
from training.sampling import MARGIN_COLUMNS, Indices, MomentSampler
from training.shapes import ShapeTrack

MOUTH_WIDTH, MOUTH_HEIGHT = range(12, 84), range(48, 96)
"""Columns and rows of a face in which an inner mouth may be."""

_WIDE: Final = 16 + 2 * MARGIN_COLUMNS
_INNER_LIPS: Final = (*UPPER_LIP_INNER, *reversed(LOWER_LIP_INNER[1:-1]))


@dataclass(frozen=True)
class Batch:
    """Samples of one step, on one device; pictures are BGR, 0..1, 96x96."""

    target: Tensor
    """(B, 3, 96, 96): the true face."""
    face: Tensor
    """(B, 6, 96, 96): the target without its lower half, then the reference."""
    mel: Tensor
    """(B, 1, 80, 16)."""
    shape: Tensor
    """(B, 8): the target's mouth shape."""
    inner_mouth: Tensor
    """(B, 1, 48, 72): 1 within the target's inner lips, over MOUTH_HEIGHT x MOUTH_WIDTH."""
    clips: Tensor
    """int64 (B,): which samples are of the same clip."""


class BatchSource:
    """Makes the batch of any step. A batch depends on seed and step alone."""

    def __init__(
        self, cache: Cache, track: ShapeTrack, sampler: MomentSampler, device: torch.device, seed: int
    ) -> None:
        self._cache, self._sampler, self.device, self._seed = cache, sampler, device, seed
        self._settings = sampler.settings
        self._frames = torch.from_numpy(cache.frames.copy()).to(device) if device.type == "cuda" else None
        self._mel = torch.from_numpy(np.asarray(cache.mel, np.float32)).to(device)
        self._shapes = torch.from_numpy(track.shapes).to(device)
        lips = np.asarray(cache.mesh[:, _INNER_LIPS, :2], np.float32)
        self._lips = torch.from_numpy(lips * CROP_SIZE - 0.5).to(device)

    def batch(self, step: int, count: int, *, augmented: bool = True) -> Batch:
        """Return ``count`` samples for ``step``."""
        rng = np.random.default_rng((self._seed, step))
        moments = self._sampler.draw(rng, count)
        generator = self._generator(rng)
        frames, columns, clips = (
            self._sent(part) for part in (moments.frames, moments.columns, moments.clips)
        )
        maps = self._maps(count, generator, augmented=augmented)
        faces = self._pictures(moments.frames, moments.references, maps, generator, augmented=augmented)
        lips = geometry.unmap(maps[:, 0], self._lips[frames])
        hidden = faces[:, 0].clone()
        hidden[:, :, geometry.FACE_SIZE // 2 :] = 0
        return Batch(
            target=faces[:, 0].contiguous(),
            face=torch.cat([hidden, faces[:, 1]], 1).contiguous(memory_format=torch.channels_last),
            mel=self._sounds(columns, generator, augmented=augmented),
            shape=self._shapes[frames],
            inner_mouth=geometry.inside(lips, MOUTH_WIDTH, MOUTH_HEIGHT),
            clips=clips,
        )

    def _sent(self, numbers: Indices) -> Tensor:
        """Return ``numbers`` on the device, copied asynchronously from page-locked memory."""
        tensor = torch.from_numpy(numbers)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _generator(self, rng: np.random.Generator) -> torch.Generator:
        """Return torch's generator for a step, on the device, where its numbers are used."""
        return torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))

    def _maps(self, count: int, generator: torch.Generator, *, augmented: bool) -> Tensor:
        """Return the maps (B, 2, 2, 3) of targets and references."""
        views = self._settings.views
        view = geometry.random_views(count, generator, views, augment=augmented)
        other = geometry.chain(view, geometry.jitter(count, generator, views)) if augmented else view
        return torch.stack([view, other], 1)

    def _pictures(
        self, targets: Any, references: Any, maps: Tensor, generator: torch.Generator, *, augmented: bool
    ) -> Tensor:
        rows = np.stack([targets, references], 1).reshape(-1)
        if self._frames is None:
            crops = torch.from_numpy(np.stack([self._cache.frames[row] for row in rows]))
        else:
            crops = self._frames[self._sent(rows)]
        crops = crops.permute(0, 3, 1, 2).float() / 255
        faces = geometry.sample(crops, maps.flatten(0, 1)).reshape(-1, 2, 3, *(geometry.FACE_SIZE,) * 2)
        if not augmented:
            return faces
        looks = self._settings.looks
        return augment.degrade(augment.recolor(faces, generator, looks), generator, looks)

    def _sounds(self, columns: Tensor, generator: torch.Generator, *, augmented: bool) -> Tensor:
        reach = torch.arange(_WIDE, device=self.device)
        wide = self._mel[columns[:, None] + reach].transpose(1, 2)[:, None]
        return augment.revoice(wide, generator) if augmented else augment.middle_window(wide)
