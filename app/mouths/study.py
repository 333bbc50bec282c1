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
from app.faces.types import (
    Boxes,
    FaceFlags,
    FaceLandmarks,
    FaceMeshes,
    FaceMeshPoints,
    Landmarks,
    has_face,
)
from app.media.frames import BgrImage, FrameLayout, I420Frame
from app.mouths.covers import Covers, gather
from app.mouths.looks import LIPS, PATCH_SIZE, Patch, Skin, patch_of, redness, skin_of
from app.mouths.marks import COVER_EVERY, NOTHING, Marked, Marks
from app.mouths.teeth import shown_teeth
from app.mouths.upright import (
    SIZE,
    Points,
    aligned,
    in_upright,
    rows_shown,
    upright_affine,
    upright_picture,
)
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

    def read_into(self, index: int, frame: I420Frame, parts: Sequence[slice] = ...) -> None:
        """Fill ``frame``, or ``parts`` of its bytes at least, with frame ``index``."""


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
    cuts: FaceFlags | None = None,
) -> Study:
    """Measure every frame of an avatar; ``alive`` is called for each and may raise to stop the work.

    ``meshes`` are those of the track, which become the study's; where it has none, one is fitted. ``cuts``
    are the track's, too; without them they are looked for.
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
    looker, marks = _Looker(layout, frames), Marks(count)

    def look_at(index: int, buffer: I420Frame) -> tuple[_Look | None, Marked | None]:
        face = looker.face(index, buffer, landmarks[index], study.meshes[index])
        if face is None:
            return None, None
        return looker.look(face), None if index % COVER_EVERY else looker.cover(face)

    for index, (look, cover) in _ahead(layout, look_at, np.flatnonzero(shown).tolist()):
        alive()
        if look is not None:
            for name in ("meshes", "teeth", "redness", "skin", "patches"):
                getattr(study, name)[index] = getattr(look, name)
        if cover is not None:
            marks.take(index, cover)
    if cuts is None:
        cuts = _cuts_of(frames, layout, count, alive)
    study.takes[:] = takes_of(cuts, boxes, shown)

    def cover_of(index: int, buffer: I420Frame) -> Marked | None:
        face = looker.face(index, buffer, landmarks[index], study.meshes[index])
        return None if face is None else looker.cover(face)

    found = np.isfinite(study.meshes[:, 0, 0])
    for index, cover in _ahead(layout, cover_of, marks.doubtful(study.takes, found)):
        alive()
        if cover is not None:
            marks.take(index, cover)
    return replace(study, covers=gather(marks.lips, marks.kept, marks.usual))


def _cuts_of(frames: Frames, layout: FrameLayout, count: int, alive: Alive) -> FaceFlags:
    is_cut, frame = CutDetector(layout), np.empty(layout.frame_bytes, np.uint8)
    cuts = np.zeros(count, np.bool_)
    for index in range(count):
        alive()
        frames.read_into(index, frame)
        cuts[index] = is_cut(frame)
    return cuts


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


@dataclass(frozen=True)
class _Face:
    """The face of one frame."""

    mesh: FaceMeshPoints
    picture: BgrImage
    """Upright."""
    points: Points
    """The mesh in the picture."""


class _Looker:
    """Measures one frame; each thread has networks of its own."""

    def __init__(self, layout: FrameLayout, frames: Frames) -> None:
        self._layout = layout
        self._frames = frames
        self._own = local()

    def face(
        self, index: int, buffer: I420Frame, landmarks: FaceLandmarks, mesh: FaceMeshPoints
    ) -> _Face | None:
        """Return the face of a frame, None if no mesh is found; ``mesh`` is its mesh, or nan.

        What is needed of the frame is read into ``buffer``.
        """
        affine = upright_affine(landmarks)
        if np.isfinite(mesh[0, 0]):
            self._frames.read_into(index, buffer, self._layout.rows(*rows_shown(self._layout, affine)))
        else:
            self._frames.read_into(index, buffer)
            if not hasattr(self._own, "mesh"):
                self._own.mesh = FaceMesh()
            fit = self._own.mesh.fit(buffer, self._layout, region_of_landmarks(landmarks))
            if fit is None:
                return None
            mesh = fit.mesh
        picture = upright_picture(self._layout, buffer, affine)
        return _Face(mesh, picture, in_upright(mesh[:, :2], affine))

    def look(self, face: _Face) -> _Look:
        """Return what is measured."""
        shares = ((face.points + 0.5) / SIZE).astype(np.float32)
        return _Look(
            meshes=face.mesh,
            teeth=shown_teeth([face.picture], shares[None], 1.0)[0],
            redness=redness(face.picture, face.points),
            skin=skin_of(face.picture, face.points),
            patches=patch_of(face.picture),
        )

    def cover(self, face: _Face) -> Marked:
        """Return what is before a face; lips beyond the frame's edge are hidden."""
        if not hasattr(self._own, "finder"):
            self._own.finder = HiddenFinder()
        marks = self._own.finder.cover([aligned(face.picture)])[0]
        size = self._layout.width, self._layout.height
        lips = face.mesh[list(LIPS), :2]
        if not ((lips > 0) & (lips < size)).all():
            return Marked(np.full_like(marks, 255), 1.0)
        return Marked(marks, lips_hidden(marks, ((face.points - 0.5) / 2).astype(np.float32)))


def _ahead(
    layout: FrameLayout, work: Callable[[int, I420Frame], Made], indices: Sequence[int]
) -> Iterator[tuple[int, Made]]:
    """Yield each index with what ``work`` makes of it, given a buffer; the next ones are made meanwhile."""
    buffers = [np.empty(layout.frame_bytes, np.uint8) for _ in range(min(_AHEAD, len(indices)))]
    with ThreadPoolExecutor(THREADS, "study") as pool:
        pending = [pool.submit(work, index, buffer) for index, buffer in zip(indices, buffers, strict=False)]
        for place, index in enumerate(indices):
            slot = place % len(buffers)
            yield index, pending[slot].result()
            if place + len(buffers) < len(indices):
                pending[slot] = pool.submit(work, indices[place + len(buffers)], buffers[slot])
