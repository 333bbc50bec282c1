"""What is measured of a mouth: how far it opens, whether it follows the speech, how sharp it is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from app.mouths.mesh import MeshPoints
from app.wav2lip.arrays import FaceCrops

Apertures = npt.NDArray[np.float64]
"""float64 (frames,): opening of the inner lips over the distance of the eyes."""

MAX_LAG: Final = 15
_UPPER, _LOWER = (81, 82, 13, 312, 311), (178, 87, 14, 317, 402)
_EYES = (33, 263)
_MOUTH: Final = (slice(56, 94), slice(24, 72))
"""The mouth region of a face of 96 pixels."""


@dataclass(frozen=True)
class Follow:
    """How a rendered mouth follows the true one and the reference's.

    ``partial`` is the partial correlation with the truth given the reference, ``leak`` the weight of the
    reference in the regression on both (standardised), ``lag`` the frames by which the mouth comes late.
    """

    partial: float
    leak: float
    lag: int


def apertures(points: MeshPoints, aspect: float) -> Apertures:
    """Return the opening of the mouths of crops that were squeezed by ``aspect``."""
    flat = points[:, :, :2].astype(np.float64) * (aspect, 1.0)
    opening = np.linalg.norm(flat[:, _LOWER] - flat[:, _UPPER], axis=-1).mean(axis=1)
    eyes = np.linalg.norm(flat[:, _EYES[0]] - flat[:, _EYES[1]], axis=-1)
    ratio: Apertures = opening / eyes
    return ratio


def follow(clips: list[tuple[Apertures, Apertures, Apertures]]) -> Follow:
    """Compare (truth, rendered, reference) apertures of clips, each against its own mean, pooled."""
    truth, rendered, reference = (
        np.concatenate([clip[part] - clip[part].mean() for clip in clips]) for part in range(3)
    )
    return Follow(
        partial=_correlation(_without(rendered, reference), _without(truth, reference)),
        leak=_weights(rendered, truth, reference)[1],
        lag=max(range(-MAX_LAG, MAX_LAG + 1), key=lambda lag: _lagged(clips, lag)),
    )


def sharpness(rendered: FaceCrops, truth: FaceCrops) -> float:
    """Return the Laplacian's variance in the rendered mouths over that in the true ones."""
    return float(_laplacian_variance(rendered).mean() / _laplacian_variance(truth).mean())


def similarity(rendered: FaceCrops, truth: FaceCrops) -> float:
    """Return the mean SSIM of the mouth regions."""
    pairs = zip(_gray(rendered), _gray(truth), strict=True)
    return float(np.mean([structural_similarity(a, b, data_range=255.0) for a, b in pairs]))


def _lagged(clips: list[tuple[Apertures, Apertures, Apertures]], lag: int) -> float:
    truth, rendered = [], []
    for true, made, _ in clips:
        count = len(true) - abs(lag)
        if 3 * count >= 2 * len(true):
            true, made = true[max(0, -lag) :][:count], made[max(0, lag) :][:count]
            truth.append(true - true.mean())
            rendered.append(made - made.mean())
    return _correlation(np.concatenate(rendered), np.concatenate(truth)) if truth else 0.0


def _correlation(a: Apertures, b: Apertures) -> float:
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _without(a: Apertures, b: Apertures) -> Apertures:
    power = float(b @ b)
    rest: Apertures = a - b * (float(a @ b) / power) if power > 0 else a
    return rest


def _weights(rendered: Apertures, truth: Apertures, reference: Apertures) -> tuple[float, float]:
    """Return the weights of truth and reference in the rendered apertures, all in standard deviations."""
    causes = np.stack([_standardized(truth), _standardized(reference)], axis=1)
    weights = np.linalg.lstsq(causes, _standardized(rendered), rcond=None)[0]
    return float(weights[0]), float(weights[1])


def _standardized(a: Apertures) -> Apertures:
    deviation = float(a.std())
    scaled: Apertures = a / deviation if deviation > 0 else a
    return scaled


def _gray(faces: FaceCrops) -> npt.NDArray[np.float64]:
    size = faces.shape[1]
    rows, columns = (slice(s.start * size // 96, s.stop * size // 96) for s in _MOUTH)
    gray: npt.NDArray[np.float64] = faces[:, rows, columns] @ np.array([0.114, 0.587, 0.299])
    return gray


def _laplacian_variance(faces: FaceCrops) -> npt.NDArray[np.float64]:
    g = _gray(faces)
    edges = g[:, :-2, 1:-1] + g[:, 2:, 1:-1] + g[:, 1:-1, :-2] + g[:, 1:-1, 2:] - 4 * g[:, 1:-1, 1:-1]
    variance: npt.NDArray[np.float64] = edges.var(axis=(1, 2))
    return variance
