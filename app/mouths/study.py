"""What is measured in every frame of an avatar before its mouths can be lent: one pass over its frames.

All of it follows from the frames and the landmarks, so it can be made again at any time: for an avatar of an
earlier version, or when its file is lost.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import local
from typing import IO, Final, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from app.faces.cuts import CutDetector
from app.faces.face_mesh import POINTS, FaceMesh
from app.faces.geometry import same_place
from app.faces.hidden import THREADS, HiddenFinder, lips_hidden
from app.faces.regions import region_of_landmarks
from app.faces.types import Boxes, FaceLandmarks, FaceMeshes, FaceMeshPoints, Landmarks, has_face
from app.media.frames import BgrImage, FrameLayout, I420Frame
from app.mouths.covers import Covers, gather
from app.mouths.looks import LIPS, PATCH_SIZE, Patch, Skin, patch_of, redness, skin_of
from app.mouths.marks import COVER_EVERY, NOTHING, Marked, Marks
from app.mouths.teeth import shown_teeth
from app.mouths.upright import SIZE, aligned, in_upright, upright_affine, upright_picture
from app.progress import Alive, nothing

STUDY: Final = "mouths.npz"
"""Name of the file among those of an avatar; it can be rebuilt from the others."""

VERSION: Final = 1
"""Of what is measured and how; a study of another version is made again."""

_AHEAD: Final = 8
"""Frames that are in memory."""

SAME_PLACE, SAME_SIZE = 0.35, 1.35
"""Most by which a face moves, in face sizes, and changes its size from frame to frame within one take."""


Made = TypeVar("Made")


class Frames(Protocol):
    """Frames that can be read by number."""

    def read_into(self, index: int, frame: I420Frame) -> None:
        """Fill ``frame`` with frame ``index``."""


@dataclass(frozen=True)
class Study:
    """Measurements of n frames; rows of frames without a face are nan or 0."""

    meshes: FaceMeshes
    teeth: npt.NDArray[np.float32]
    """float32 (n, 2): upper and lower teeth that show, as in :mod:`app.mouths.teeth`."""
    redness: npt.NDArray[np.float32]
    """float32 (n,): as :func:`app.mouths.looks.redness`."""
    skin: Skin
    patches: Patch
    takes: npt.NDArray[np.int32]
    """int32 (n,): number of the take: a stretch of frames of one face without a cut or a jump; -1 without."""
    covers: Covers

    def __len__(self) -> int:
        return len(self.takes)

    def save(self, file: IO[bytes]) -> None:
        """Write the study to a file, uncompressed."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "covers"}
        covers = {f"covers_{f.name}": getattr(self.covers, f.name) for f in fields(Covers)}
        np.savez(file, version=np.int32(VERSION), **arrays, **covers)

    @classmethod
    def load(cls, path: Path, frame_count: int) -> Self | None:
        """Read the study of ``frame_count`` frames; None if there is none, or another version's."""
        try:
            with path.open("rb") as file, np.load(file) as stored:
                arrays = {f.name: stored[f.name] for f in fields(cls) if f.name != "covers"}
                covers = Covers(**{f.name: stored[f"covers_{f.name}"] for f in fields(Covers)})
                study = cls(**arrays, covers=covers)
                return study if int(stored["version"]) == VERSION and len(study) == frame_count else None
        except Exception:  # zipfile and numpy raise a dozen kinds; whatever is wrong, it can be made again
            return None


def study_frames(
    frames: Frames,
    layout: FrameLayout,
    boxes: Boxes,
    landmarks: Landmarks,
    alive: Alive = nothing,
    meshes: FaceMeshes | None = None,
) -> Study:
    """Measure every frame of an avatar; ``alive`` is called for each and may raise to stop the work.

    ``meshes`` are those of the track, which become the study's; where it has none, one is fitted.
    """
    count = len(boxes)
    shown = has_face(boxes) & np.isfinite(landmarks).all(axis=(1, 2))
    study = Study(
        meshes=np.full((count, POINTS, 3), np.nan, np.float32) if meshes is None else meshes,
        teeth=np.zeros((count, 2), np.float32),
        redness=np.zeros(count, np.float32),
        skin=np.zeros((count, 4), np.float32),
        patches=np.zeros((count, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8),
        takes=np.full(count, -1, np.int32),
        covers=gather(np.full(count, np.nan, np.float32), {}, NOTHING),
    )
    is_cut, cuts = CutDetector(layout), np.zeros(count, np.bool_)
    looker, marks = _Looker(layout), Marks(count)

    def look_at(index: int, frame: I420Frame) -> tuple[_Look | None, Marked | None]:
        if not shown[index]:
            return None, None
        look, picture = looker.look(frame, landmarks[index], study.meshes[index])
        if look is None or index % COVER_EVERY:
            return look, None
        return look, looker.cover(picture, landmarks[index], look.meshes)

    for index, frame, (look, cover) in _ahead(frames, layout, look_at, range(count)):
        alive()
        cuts[index] = is_cut(frame)
        if look is not None:
            for name in ("meshes", "teeth", "redness", "skin", "patches"):
                getattr(study, name)[index] = getattr(look, name)
        if cover is not None:
            marks.take(index, cover)
    study.takes[:] = takes_of(cuts, boxes, shown)

    def cover_of(index: int, frame: I420Frame) -> Marked:
        picture = looker.picture(frame, landmarks[index])
        return looker.cover(picture, landmarks[index], study.meshes[index])

    found = np.isfinite(study.meshes[:, 0, 0])
    for index, _, cover in _ahead(frames, layout, cover_of, marks.doubtful(study.takes, found)):
        alive()
        marks.take(index, cover)
    return replace(study, covers=gather(marks.lips, marks.kept, marks.usual))


def takes_of(
    cuts: npt.NDArray[np.bool_], boxes: Boxes, shown: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int32]:
    """Number the takes of a video; ``cuts`` (n,) says before which frames a cut lies."""
    takes = np.full(len(boxes), -1, np.int32)
    take, last = -1, -1
    for index in np.flatnonzero(shown).tolist():
        box, before = boxes[index].astype(np.float64), boxes[last].astype(np.float64)
        goes_on = last >= 0 and not cuts[last + 1 : index + 1].any()
        if not goes_on or not same_place(before, box, within=SAME_PLACE, size_ratio=SAME_SIZE):
            take += 1
        takes[index] = take
        last = index
    return takes


@dataclass(frozen=True)
class _Look:
    """What is measured in one frame."""

    meshes: FaceMeshPoints
    teeth: npt.NDArray[np.float32]
    redness: float
    skin: Skin
    patches: Patch


class _Looker:
    """Measures one frame; each thread has networks of its own."""

    def __init__(self, layout: FrameLayout) -> None:
        self._layout = layout
        self._own = local()

    def look(
        self, frame: I420Frame, landmarks: FaceLandmarks, mesh: FaceMeshPoints
    ) -> tuple[_Look | None, BgrImage]:
        """Return what is measured, None if no mesh is found, and the upright picture of the face.

        ``mesh`` is the frame's, or nan.
        """
        picture = self.picture(frame, landmarks)
        if not np.isfinite(mesh[0, 0]):
            if not hasattr(self._own, "mesh"):
                self._own.mesh = FaceMesh()
            fit = self._own.mesh.fit(frame, self._layout, region_of_landmarks(landmarks))
            if fit is None:
                return None, picture
            mesh = fit.mesh
        points = in_upright(mesh[:, :2], upright_affine(landmarks))
        shares = np.column_stack([(points + 0.5) / SIZE, np.zeros(len(points))]).astype(np.float32)
        look = _Look(
            meshes=mesh,
            teeth=shown_teeth([picture], shares[None], 1.0)[0],
            redness=redness(picture, points),
            skin=skin_of(picture, points),
            patches=patch_of(picture),
        )
        return look, picture

    def cover(self, picture: BgrImage, landmarks: FaceLandmarks, mesh: FaceMeshPoints) -> Marked:
        """Return what is before the face of an upright picture; lips beyond the frame's edge are hidden."""
        if not hasattr(self._own, "finder"):
            self._own.finder = HiddenFinder()
        marks = self._own.finder.cover([aligned(picture)])[0]
        size = self._layout.width, self._layout.height
        if not ((mesh[list(LIPS), :2] > 0) & (mesh[list(LIPS), :2] < size)).all():
            return Marked(np.full_like(marks, 255), 1.0)
        points = in_upright(mesh[:, :2], upright_affine(landmarks))
        return Marked(marks, lips_hidden(marks, ((points - 0.5) / 2).astype(np.float32)))

    def picture(self, frame: I420Frame, landmarks: FaceLandmarks) -> BgrImage:
        """Return the upright picture of a face."""
        return upright_picture(self._layout, frame, upright_affine(landmarks))


def _ahead(
    frames: Frames, layout: FrameLayout, work: Callable[[int, I420Frame], Made], indices: Sequence[int]
) -> Iterator[tuple[int, I420Frame, Made]]:
    """Yield each index with its frame and what ``work`` makes of it, the next being worked on meanwhile."""

    def one(index: int, buffer: I420Frame) -> Made:
        frames.read_into(index, buffer)
        return work(index, buffer)

    buffers = [np.empty(layout.frame_bytes, np.uint8) for _ in range(min(_AHEAD, len(indices)))]
    with ThreadPoolExecutor(THREADS, "study") as pool:
        pending = [pool.submit(one, index, buffer) for index, buffer in zip(indices, buffers, strict=False)]
        for place, index in enumerate(indices):
            slot = place % len(buffers)
            yield index, buffers[slot], pending[slot].result()
            if place + len(buffers) < len(indices):
                pending[slot] = pool.submit(one, indices[place + len(buffers)], buffers[slot])
