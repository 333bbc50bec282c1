"""What is measured in every frame of an avatar before its mouths can be lent: one pass over its frames.

All of it follows from the frames and the landmarks, so it can be made anew at any time: for an avatar of an
earlier version, or when its file is lost.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import local
from typing import IO, Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from app.faces.cuts import CutDetector
from app.faces.face_mesh import POINTS, FaceMesh
from app.faces.geometry import same_place
from app.faces.hidden import CROP_SIZE, HiddenFinder, lips_hidden
from app.faces.regions import region_of_landmarks
from app.faces.types import Boxes, FaceLandmarks, FaceMeshPoints, Landmarks, has_face
from app.media.frames import FrameLayout, I420Frame
from app.mouths.covers import NOTED, Covers, gather, lower_face_share
from app.mouths.looks import PATCH_SIZE, Patch, Skin, patch_of, redness, skin_of
from app.mouths.teeth import shown_teeth
from app.mouths.upright import SIZE, aligned, in_upright, upright_affine, upright_picture
from app.progress import Alive

STUDY: Final = "mouths.npz"
"""Name of the file among those of an avatar; it can be rebuilt from the others."""

VERSION: Final = 1
"""Of what is measured and how; a study of another version is made anew."""

_WORKERS: Final = 2
_AHEAD: Final = 8
"""Frames that are measured at once, and those that are in memory."""

_USUAL_FRAMES: Final = 60
_NOTHING: Final = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)

SAME_PLACE, SAME_SIZE = 0.35, 1.35
"""Most by which a face moves, in face sizes, and changes its size from frame to frame within one take."""


class Frames(Protocol):
    """Frames that can be read by number."""

    def read_into(self, index: int, frame: I420Frame) -> None:
        """Fill ``frame`` with frame ``index``."""


@dataclass(frozen=True)
class Study:
    """Measurements of n frames; rows of frames without a face are nan or 0."""

    meshes: npt.NDArray[np.float32]
    """float32 (n, 468, 3): the mesh of each frame by itself, not smoothed; nan where none was found."""
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
        except Exception:  # zipfile and numpy raise a dozen kinds; whatever is wrong, it can be made anew
            return None


def study_frames(
    frames: Frames, layout: FrameLayout, boxes: Boxes, landmarks: Landmarks, alive: Alive = lambda: None
) -> Study:
    """Measure every frame of an avatar; ``alive`` is called for each and may raise to stop the work."""
    count = len(boxes)
    shown = has_face(boxes) & np.isfinite(landmarks).all(axis=(1, 2))
    study = Study(
        meshes=np.full((count, POINTS, 3), np.nan, np.float32),
        teeth=np.zeros((count, 2), np.float32),
        redness=np.zeros(count, np.float32),
        skin=np.zeros((count, 4), np.float32),
        patches=np.zeros((count, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8),
        takes=np.full(count, -1, np.int32),
        covers=gather(np.full(count, np.nan, np.float32), {}, _NOTHING),
    )
    lips, marks = study.covers.lips, _Marks(count)
    is_cut, cuts = CutDetector(layout), np.zeros(count, np.bool_)
    looker = _Looker(layout)

    def look_at(index: int, frame: I420Frame) -> _Look | None:
        return looker(frame, landmarks[index]) if shown[index] else None

    measured = _ahead(frames, layout, look_at, count)
    for index, (frame, look) in enumerate(measured):
        alive()
        cuts[index] = is_cut(frame)
        if look is not None:
            for name in ("meshes", "teeth", "redness", "skin", "patches"):
                getattr(study, name)[index] = getattr(look, name)
            lips[index] = look.lips
            marks.take(index, look.marks)
    study.takes[:] = takes_of(cuts, boxes, shown)
    return replace(study, covers=gather(lips, marks.kept, marks.usual))


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
    lips: float
    marks: npt.NDArray[np.uint8]


class _Marks:
    """What was marked before the face: of doubtful frames each, and of a few in general what is usual."""

    def __init__(self, count: int) -> None:
        self._step = max(1, count // _USUAL_FRAMES)
        self._sample: list[npt.NDArray[np.uint8]] = []
        self.kept: dict[int, npt.NDArray[np.uint8]] = {}

    def take(self, index: int, marks: npt.NDArray[np.uint8]) -> None:
        """Take the marks (96, 96) of a frame."""
        if index % self._step == 0:
            self._sample.append(marks)
        if lower_face_share(marks) >= NOTED:
            self.kept[index] = marks

    @property
    def usual(self) -> npt.NDArray[np.uint8]:
        """The median of the marks: a beard, say, that is taken for something before the face."""
        if not self._sample:
            return _NOTHING
        usual: npt.NDArray[np.uint8] = np.median(self._sample, axis=0).astype(np.uint8)
        return usual


class _Looker:
    """Measures one frame; each thread has networks of its own."""

    def __init__(self, layout: FrameLayout) -> None:
        self._layout = layout
        self._own = local()

    def __call__(self, frame: I420Frame, landmarks: FaceLandmarks) -> _Look | None:
        if not hasattr(self._own, "mesh"):
            self._own.mesh, self._own.finder = FaceMesh(), HiddenFinder()
        fit = self._own.mesh.fit(frame, self._layout, region_of_landmarks(landmarks))
        if fit is None:
            return None
        affine = upright_affine(landmarks)
        picture = upright_picture(self._layout, frame, affine)
        points = in_upright(fit.landmarks, affine)
        marks = self._own.finder.cover([aligned(picture)])[0]
        shares = np.column_stack([(points + 0.5) / SIZE, np.zeros(len(points))]).astype(np.float32)
        return _Look(
            meshes=fit.mesh,
            teeth=shown_teeth([picture], shares[None], 1.0)[0],
            redness=redness(picture, points),
            skin=skin_of(picture, points),
            patches=patch_of(picture),
            lips=lips_hidden(marks, ((points - 0.5) / 2).astype(np.float32)),
            marks=marks,
        )


def _ahead(frames: Frames, layout: FrameLayout, work: Any, count: int) -> Iterator[tuple[I420Frame, Any]]:
    """Yield each frame with what ``work`` makes of it, the next ones being worked on meanwhile."""

    def one(index: int, buffer: I420Frame) -> tuple[I420Frame, Any]:
        frames.read_into(index, buffer)
        return buffer, work(index, buffer)

    buffers = [np.empty(layout.frame_bytes, np.uint8) for _ in range(min(_AHEAD, count))]
    with ThreadPoolExecutor(_WORKERS, "study") as pool:
        pending = [pool.submit(one, index, buffer) for index, buffer in enumerate(buffers)]
        for index in range(count):
            yield pending[index % len(buffers)].result()
            if index + len(buffers) < count:
                slot = index % len(buffers)
                pending[slot] = pool.submit(one, index + len(buffers), buffers[slot])
