"""Batches: moments of the cache, cut, augmented and put on the device."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from app.audio.mel import SILENCE
from app.mouths.points import LOWER_LIP_INNER, RIGID_POINTS, SPEECH_POINTS, UPPER_LIP_INNER
from training import augment, geometry
from training.cache import Cache
from training.networks.blocks import constant
from training.pack import CROP_SIZE
from training.references import Indices
from training.sampling import MARGIN_COLUMNS, MomentSampler
from training.shade import belief, inner_shades
from training.shapes import ShapeTrack

MOUTH_WIDTH, MOUTH_HEIGHT = range(12, 84), range(48, 96)
"""Columns and rows of a face in which an inner mouth may be."""

_WIDE: Final = 16 + 2 * MARGIN_COLUMNS
_INNER_LIPS: Final = tuple(
    SPEECH_POINTS.index(point) for point in (*UPPER_LIP_INNER, *reversed(LOWER_LIP_INNER[1:-1]))
)


@dataclass(frozen=True)
class Batch:
    """Samples of one step, on one device; pictures are BGR, 0..1, 96x96."""

    target: Tensor
    """(B, 3, 96, 96): the true face."""
    face: Tensor
    """(B, 6, 96, 96): the target without its lower half, then the reference."""
    mel: Tensor
    """(B, 1, 80, 16); silence where the clip has no sound."""
    shape: Tensor
    """(B, 17): by how much the target's mouth shape differs from the reference's, the reference's own, and by
    how much the target's mouth is lighter inside than the reference's."""
    more_inside: Tensor
    """(B,), -1..1: how much more of its inside the target's mouth shows than the reference's."""
    points: Tensor
    """(B, 2, K, 2): the points that speech moves, of target and reference, in face pixels."""
    inner_mouth: Tensor
    """(B, 1, 48, 72): 1 within the target's inner lips, over MOUTH_HEIGHT x MOUTH_WIDTH."""
    clips: Tensor
    """int64 (B,): which samples are of the same clip."""


class BatchSource:
    """Makes the batch of any step: the same for the same seed and step, whatever was made before."""

    def __init__(
        self, cache: Cache, track: ShapeTrack, sampler: MomentSampler, device: torch.device, seed: int
    ) -> None:
        self._cache, self._sampler, self.device, self._seed = cache, sampler, device, seed
        self._settings = sampler.settings
        self._frames = torch.from_numpy(cache.frames.copy()).to(device) if device.type == "cuda" else None
        mel = np.pad(np.asarray(cache.mel, np.float32), ((0, _WIDE), (0, 0)), constant_values=SILENCE)
        self._mel = torch.from_numpy(mel).to(device)
        self._shapes = torch.from_numpy(track.shapes).to(device)
        mesh = np.asarray(cache.mesh[:, (*RIGID_POINTS, *SPEECH_POINTS), :2], np.float32)
        self._points = torch.from_numpy(mesh * CROP_SIZE - 0.5).to(device)

    def batch(self, step: int, count: int, *, augmented: bool = True) -> Batch:
        """Return ``count`` samples for ``step``."""
        rng = np.random.default_rng((self._seed, step))
        moments = self._sampler.draw(rng, count)
        generator = self._generator(rng)
        frames, references, columns, clips = (
            self._sent(part) for part in (moments.frames, moments.references, moments.columns, moments.clips)
        )
        points = torch.stack([self._points[frames], self._points[references]], 1)
        maps = self._maps(points[:, :, : len(RIGID_POINTS)], generator, augmented=augmented)
        faces = self._pictures(moments.frames, moments.references, maps, generator, augmented=augmented)
        speech = points[:, :, len(RIGID_POINTS) :]
        placed = torch.stack([geometry.unmap(maps[:, k], speech[:, k]) for k in range(2)], 1)
        inner, shades = self._insides(faces[:, 0], placed[:, 0])
        own_inner, own_shades = self._insides(faces[:, 1], placed[:, 1])
        shade = self._settings.shade
        wanted, own = self._shapes[frames], self._shapes[references]
        hidden = faces[:, 0].clone()
        hidden[:, :, geometry.FACE_SIZE // 2 :] = 0
        return Batch(
            target=faces[:, 0].contiguous(),
            face=torch.cat([hidden, faces[:, 1]], 1).contiguous(memory_format=torch.channels_last),
            mel=self._sounds(columns, generator, augmented=augmented),
            shape=torch.cat([wanted - own, own, (shades - own_shades)[:, None]], 1),
            more_inside=belief(inner, shade) - belief(own_inner, shade),
            points=placed,
            inner_mouth=inner,
            clips=clips,
        )

    def _insides(self, faces: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the inner mouths of faces are (B, 1, 48, 72), and how dark they are (B,)."""
        inner = geometry.inside(points[:, constant(_INNER_LIPS, points.device)], MOUTH_WIDTH, MOUTH_HEIGHT)
        mouths = faces[:, :, MOUTH_HEIGHT.start :, MOUTH_WIDTH.start : MOUTH_WIDTH.stop]
        return inner, inner_shades(mouths, inner, self._settings.shade)

    def _sent(self, numbers: Indices) -> Tensor:
        """Return ``numbers`` on the device; from page-locked memory, so that nobody waits for them."""
        tensor = torch.from_numpy(numbers)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _generator(self, rng: np.random.Generator) -> torch.Generator:
        """Return torch's generator for a step, on the device: what is drawn there need not travel."""
        return torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))

    def _maps(self, rigid: Tensor, generator: torch.Generator, *, augmented: bool) -> Tensor:
        """Return the maps (B, 2, 2, 3) of targets and references."""
        count = len(rigid)
        view = geometry.random_views(count, generator, self._settings.views, augment=augmented)
        aligned = (
            torch.rand(count, generator=generator, device=self.device) < self._settings.aligned_references
        )
        to_reference = geometry.alignments(rigid[:, 0], rigid[:, 1])
        same = torch.eye(2, 3, device=self.device).expand(count, 2, 3)
        placing = torch.where(aligned[:, None, None], to_reference, same)
        loose = geometry.jitter(count, aligned, generator, self._settings.views)
        placing = geometry.chain(placing, loose) if augmented else placing
        return torch.stack([view, geometry.chain(view, placing)], 1)

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
        silence = len(self._mel) - _WIDE
        first = torch.where(columns < 0, torch.full_like(columns, silence), columns)
        wide = self._mel[first[:, None] + reach].transpose(1, 2)[:, None]
        return augment.revoice(wide, generator) if augmented else augment.middle_window(wide)
