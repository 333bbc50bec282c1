"""Measurements of a speaker's mouth in a video, with every frame aligned to the same head."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.errors import NoFace
from app.faces.head import RIGID_POINTS
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.media.frames import BgrImage
from app.mouths.points import LOWER_LIP_INNER, LOWER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_OUTER
from training.evaluation.tracking import FaceFollower, MeshPlaces

SIDE: Final = 192
"""Side of a steadied face, pixels."""
_EYES_AT: Final = np.array([[0.22, -0.30], [0.78, -0.30]]) * SIDE
"""Where the outer corners of the eyes come to lie in the first frame: the picture begins below the nose."""
_LARGEST: Final = 900
"""Pixels to which the longer side of a frame is shrunk before the face is looked for."""

_RIGID: Final = [point for point in RIGID_POINTS if point not in (372, 143)]
_OUTER: Final = [*LOWER_LIP_OUTER, *UPPER_LIP_OUTER[-2:0:-1]]
_INNER: Final = [*LOWER_LIP_INNER, *UPPER_LIP_INNER[-2:0:-1]]
_UPPER, _LOWER = 13, 14

_OPEN: Final = 0.06
_LEAST_INSIDE: Final = 30
"""Aperture and pixels from which the inside of a mouth is looked at."""
_TEETH_LUMA, _TEETH_CHROMA, _TEETH_GRAY = 0.72, 0.75, 4.0
"""Teeth are that bright, and that much less colourful, than the skin around the mouth."""
_BOX_MARGIN: Final = 6
_RING_INNER, _RING_OUTER = 9, 25
"""The skin around the mouth lies between the lips widened by these sizes, pixels."""

Canon = npt.NDArray[np.float64]
"""float64 (k, 2): where the rigid points lie in a steadied face."""
Color = npt.NDArray[np.float64]
"""float64 (3,): L*, a*, b*."""


@dataclass(frozen=True)
class MouthFacts:
    """One frame's mouth; colours in CIE Lab, sizes in pixels of the steadied face; nan where unknown."""

    steady: BgrImage
    """uint8 (192, 192, 3): the face about the mouth."""
    aperture: float
    """Gap of the inner lips over the distance of the eyes."""
    sharpness: float
    """Mean of the absolute Laplacian about the mouth."""
    lips: Color
    skin: Color
    area: float
    """Of the lips."""
    teeth: float
    """Share of the open inside that is bright and colourless."""
    dark: float
    """Luma of the open inside over that of the skin: the smaller, the darker."""


@dataclass(frozen=True)
class Mouths:
    """A video's mouths, None in frames without a face, and where its rigid points were put."""

    frames: list[MouthFacts | None]
    canon: Canon

    @property
    def apertures(self) -> npt.NDArray[np.float64]:
        """float64 (n,): the aperture of each frame, nan without a face."""
        return np.array([np.nan if facts is None else facts.aperture for facts in self.frames])


def read_mouths(path: Path, *, limit: int | None = None, canon: Canon | None = None) -> Mouths:
    """Measure the mouths of a video's first ``limit`` frames, steadied by ``canon`` or its first face.

    Raises NoFace if no frame shows one.
    """
    follower = FaceFollower()
    frames: list[MouthFacts | None] = []
    for picture in pictures(path, limit):
        places = places_in(follower, picture)
        if places is None:
            frames.append(None)
            continue
        if canon is None:
            first = similarity(places[[RIGHT_EYE, LEFT_EYE]], _EYES_AT)
            canon = _moved(places[_RIGID], first)
        frames.append(_facts(picture, places, canon))
    if canon is None:
        raise NoFace(f"{path.name} shows no face that could be judged.")
    return Mouths(frames, canon)


def pictures(path: Path, limit: int | None = None) -> Iterator[BgrImage]:
    """Yield the frames of a video as BGR pictures."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if limit is not None and index >= limit:
                return
            yield frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)


def places_in(follower: FaceFollower, picture: BgrImage) -> MeshPlaces | None:
    """Return the mesh of the followed face in a picture of any size, in its pixels."""
    scale = min(1.0, _LARGEST / max(picture.shape[:2]))
    if scale == 1:
        return follower.follow(picture)
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    places = follower.follow(small)
    return None if places is None else places / scale


def similarity(source: MeshPlaces, target: MeshPlaces) -> npt.NDArray[np.float64]:
    """Return the turn, scale and shift (2, 3) that brings points nearest to others (Umeyama)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    here, there = source - source_mean, target - target_mean
    u, spread, vt = np.linalg.svd(there.T @ here)
    mirror = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u * mirror) @ vt
    linear = turn * (spread * mirror).sum() / np.square(here).sum()
    return np.column_stack([linear, target_mean - linear @ source_mean])


def _moved(places: MeshPlaces, way: npt.NDArray[np.float64]) -> MeshPlaces:
    moved: MeshPlaces = places @ way[:, :2].T + way[:, 2]
    return moved


def _facts(picture: BgrImage, places: MeshPlaces, canon: Canon) -> MouthFacts:
    way = similarity(places[_RIGID], canon)
    steady = np.asarray(
        cv2.warpAffine(picture, way, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
    points = _moved(places, way)
    outer, inner = _filled(points[_OUTER]), _filled(points[_INNER])
    lab = np.asarray(cv2.cvtColor(steady.astype(np.float32) / 255, cv2.COLOR_BGR2Lab), np.float32)
    lips, skin = outer & ~inner, _ring(outer)
    skin_color = lab[skin].mean(axis=0).astype(np.float64) if skin.any() else np.zeros(3)
    gap = np.linalg.norm(places[_UPPER] - places[_LOWER])
    aperture = float(gap / np.linalg.norm(places[RIGHT_EYE] - places[LEFT_EYE]))
    looked_at = aperture > _OPEN and int(inner.sum()) > _LEAST_INSIDE
    teeth, dark = _inside(lab[inner], skin_color) if looked_at else (np.nan, np.nan)
    return MouthFacts(
        steady=steady,
        aperture=aperture,
        sharpness=_sharpness(steady, points[_OUTER]),
        lips=lab[lips].mean(axis=0).astype(np.float64) if lips.any() else np.full(3, np.nan),
        skin=skin_color,
        area=float(lips.sum()),
        teeth=teeth,
        dark=dark,
    )


def _filled(outline: MeshPlaces) -> npt.NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)
    return mask.astype(np.bool_)


def _ring(outer: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the skin around the lips."""
    wide, narrow = (
        cv2.dilate(outer.astype(np.uint8), np.ones((size, size))).astype(np.bool_)
        for size in (_RING_OUTER, _RING_INNER)
    )
    ring: npt.NDArray[np.bool_] = wide & ~narrow
    return ring


def _sharpness(steady: BgrImage, outline: MeshPlaces) -> float:
    left, top = np.floor(outline.min(axis=0)).astype(int) - _BOX_MARGIN
    right, bottom = np.ceil(outline.max(axis=0)).astype(int) + _BOX_MARGIN
    box = cv2.cvtColor(steady, cv2.COLOR_BGR2GRAY)[max(0, top) : bottom, max(0, left) : right]
    if not box.size:
        return float("nan")
    return float(np.abs(cv2.Laplacian(box.astype(np.float32), cv2.CV_32F)).mean())


def _inside(lab: npt.NDArray[np.float32], skin: Color) -> tuple[float, float]:
    """Return the share of an open mouth that is teeth, and its luma over the skin's."""
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    most = _TEETH_CHROMA * float(np.hypot(skin[1], skin[2])) + _TEETH_GRAY
    teeth = (lab[:, 0] > _TEETH_LUMA * skin[0]) & (chroma < most)
    return float(teeth.mean()), float(lab[:, 0].mean() / max(skin[0], 1))
