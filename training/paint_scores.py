"""What is measured of painted mouths beside the true ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from app.mouths.mesh import CropMesh, MeshPoints
from app.mouths.teeth import shown_teeth
from app.wav2lip.arrays import FaceCrops
from training.cache import Span
from training.pack import BOX_SIDE, CROP_SIZE

Apertures = npt.NDArray[np.float64]
"""float64 (frames,): opening of the inner lips over the distance of the eyes."""

_UPPER, _LOWER = (81, 82, 13, 312, 311), (178, 87, 14, 317, 402)
_EYES = (33, 263)
_MOUTH: Final = (slice(56, 94), slice(24, 72))
"""The mouth region of a face of 96 pixels."""
_OPEN: Final = 0.06
"""Aperture from which a mouth shows its inside."""


@dataclass(frozen=True)
class Painted:
    """One clip, painted onto references of one kind."""

    span: Span
    truth: FaceCrops
    references: FaceCrops
    made: FaceCrops


@dataclass(frozen=True)
class PaintScores:
    """What was measured over the clips of one set and one kind of reference."""

    clips: int
    frames: int
    follow: float
    """Correlation of the aperture with the true one, each against its clip's mean, pooled."""
    spread: float
    """Deviation of the aperture over the true one's."""
    sharpness: float
    teeth: float
    """Bright teeth in open mouths over those of the truth."""
    dark: float
    """Brightness of the darkest tenth of open mouths over that of the truth."""
    colour: float
    """Difference of the mouth's mean colour from the truth's, CIELAB."""
    similarity: float
    error: float
    """Mean absolute difference of the mouth's pixels, of 255."""
    lent: float
    """The same of the references, with nothing done to them."""


def apertures(points: MeshPoints, aspect: float) -> Apertures:
    """Return the opening of the mouths of crops that were squeezed by ``aspect``."""
    flat = points[:, :, :2].astype(np.float64) * (aspect, 1.0)
    opening = np.linalg.norm(flat[:, _LOWER] - flat[:, _UPPER], axis=-1).mean(axis=1)
    eyes = np.linalg.norm(flat[:, _EYES[0]] - flat[:, _EYES[1]], axis=-1)
    ratio: Apertures = opening / eyes
    return ratio


def opened(faces: FaceCrops, span: Span) -> tuple[Apertures, MeshPoints]:
    """Return how far the mouths of faces without a margin are open, and their meshes."""
    points, _ = CropMesh().fit(_with_margin(faces), span.clip.aspect)
    return apertures(points, span.clip.aspect), points


def score(takes: Sequence[Painted]) -> PaintScores:
    """Compare what was painted with the truth."""
    true, made, teeth, dark = [], [], [], []
    for take in takes:
        (true_opening, points), (opening, made_points) = (
            opened(x, take.span) for x in (take.truth, take.made)
        )
        true.append(true_opening - true_opening.mean())
        made.append(opening - opening.mean())
        wide = true_opening > _OPEN
        aspect = take.span.clip.aspect
        pairs = ((take.truth, points), (take.made, made_points))
        teeth.append(
            [shown_teeth(list(_with_margin(x)[wide]), mesh[wide], aspect).sum() for x, mesh in pairs]
        )
        dark.append([_darkest(x[wide]) for x in (take.truth, take.made)])
    one, other = np.concatenate(true), np.concatenate(made)
    truth, result, references = (
        np.concatenate([getattr(take, name) for take in takes]) for name in ("truth", "made", "references")
    )
    shown, inside = np.sum(teeth, axis=0), np.sum(dark, axis=0)
    return PaintScores(
        clips=len(takes),
        frames=len(one),
        follow=float(np.corrcoef(one, other)[0, 1]),
        spread=float(other.std() / max(one.std(), 1e-9)),
        sharpness=_sharpness(result, truth),
        teeth=float(shown[1] / max(shown[0], 1e-9)),
        dark=float(inside[1] / max(inside[0], 1e-9)),
        colour=float(np.linalg.norm(_lab(result) - _lab(truth), axis=1).mean()),
        similarity=_similarity(result, truth),
        error=_apart(result, truth),
        lent=_apart(references, truth),
    )


def _darkest(faces: FaceCrops) -> float:
    gray = faces[:, _MOUTH[0], _MOUTH[1]].mean(axis=3)
    return float(np.quantile(gray, 0.1, axis=(1, 2)).sum()) if len(faces) else 0.0


def _lab(faces: FaceCrops) -> npt.NDArray[np.float64]:
    mouths = faces[:, _MOUTH[0], _MOUTH[1]].astype(np.float32) / np.float32(255)
    lab = [cv2.cvtColor(mouth, cv2.COLOR_BGR2LAB).mean(axis=(0, 1)) for mouth in mouths]
    return np.array(lab, np.float64)


def _apart(one: FaceCrops, other: FaceCrops) -> float:
    parts = (faces[:, _MOUTH[0], _MOUTH[1]].astype(np.float32) for faces in (one, other))
    return float(np.abs(next(parts) - next(parts)).mean())


def _sharpness(rendered: FaceCrops, truth: FaceCrops) -> float:
    """Return the Laplacian's variance in the rendered mouths over that in the true ones."""
    return float(_laplacian_variance(rendered).mean() / _laplacian_variance(truth).mean())


def _similarity(rendered: FaceCrops, truth: FaceCrops) -> float:
    """Return the mean SSIM of the mouth regions."""
    pairs = zip(_gray(rendered), _gray(truth), strict=True)
    return float(np.mean([structural_similarity(a, b, data_range=255.0) for a, b in pairs]))


def _gray(faces: FaceCrops) -> npt.NDArray[np.float64]:
    gray: npt.NDArray[np.float64] = faces[:, _MOUTH[0], _MOUTH[1]] @ np.array([0.114, 0.587, 0.299])
    return gray


def _laplacian_variance(faces: FaceCrops) -> npt.NDArray[np.float64]:
    g = _gray(faces)
    edges = g[:, :-2, 1:-1] + g[:, 2:, 1:-1] + g[:, 1:-1, :-2] + g[:, 1:-1, 2:] - 4 * g[:, 1:-1, 1:-1]
    variance: npt.NDArray[np.float64] = edges.var(axis=(1, 2))
    return variance


def _with_margin(faces: FaceCrops) -> FaceCrops:
    """Enlarge faces to a pack's crop, the border repeated: what the mesh was measured on."""
    scale = faces.shape[1] / BOX_SIDE
    offset = scale / 2 - 0.5 - scale * (CROP_SIZE - BOX_SIDE) / 2
    affine = np.array([[scale, 0, offset], [0, scale, offset]])
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (CROP_SIZE, CROP_SIZE)
    wide = [
        cv2.warpAffine(face, affine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE) for face in faces
    ]
    return np.array(wide, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3)
