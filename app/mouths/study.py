"""What is measured in every frame of an avatar before its mouths can be lent: one pass over its frames.

All of it follows from the frames and the landmarks, so it can be made again at any time: for an avatar of an
earlier version, whose stored meshes are kept, or when its file is lost.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from app.faces.cuts import CutDetector, jumps_of, without_flashes
from app.faces.face_mesh import POINTS
from app.faces.geometry import same_place
from app.faces.hidden import THREADS
from app.faces.types import Boxes, FaceFlags, FaceMeshes, Landmarks, has_face
from app.media.frames import FrameLayout, I420Frame
from app.mouths.covers import Covers, gather
from app.mouths.lips_apart import Apart
from app.mouths.looking import Frames, Look, Looker
from app.mouths.looks import Patch, Skin, surroundings
from app.mouths.marks import Marked, cover_every
from app.mouths.notes import Notes
from app.progress import Alive, nothing
from app.volume import is_file, meaning

STUDY: Final = "mouths.npz"
"""Name of the file among those of an avatar; it can be rebuilt from the others."""

VERSION: Final = 10
"""Of what is measured and how; a study of another version is made again."""

_BUFFERS: Final = 8
"""Frames that are in memory."""

SAME_PLACE, SAME_SIZE = 0.35, 1.35
"""Most by which a face moves, in face sizes, and changes its size from frame to frame within one take."""

SAME_SPEED, MOST_MOVED = 3.0, 0.7
"""Where frames are rare a face may come further: so many face sizes a second, and that much in all. Two
people beside each other are further apart."""

LONGEST_GAP: Final = 2.0
"""Seconds without a face within a take: whoever is seen after more may be another one."""


TakeFrames = npt.NDArray[np.int64]
"""int64 (n,): frames of the footage that are of one take, in their order."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Study:
    """Measurements of n frames; rows of frames without a face are nan or 0."""

    meshes: FaceMeshes
    teeth: npt.NDArray[np.float32]
    """float32 (n, 2): upper and lower teeth that show, as in :mod:`app.mouths.teeth`."""
    redness: npt.NDArray[np.float32]
    """float32 (n,): as :func:`app.mouths.looks.redness`."""
    parting: npt.NDArray[np.float32]
    """float32 (n,): as :func:`app.mouths.looks.parting`."""
    apart: Apart
    sharpness: npt.NDArray[np.float32]
    """float32 (n,): as :func:`app.mouths.looks.sharpness`."""
    skin: Skin
    patches: Patch
    takes: npt.NDArray[np.int32]
    """int32 (n,): number of the take: a stretch of frames of one face that no cut parts and within which
    the face does not move away (:data:`SAME_PLACE`) or is gone for long (:data:`LONGEST_GAP`); -1 without."""
    cuts: FaceFlags
    """bool (n,): whether a cut lies before the frame, or the face jumps: what moves does not go on there. One
    may lend beyond a jump: people who talk to a camera cut out what they got wrong."""
    covers: Covers

    def __len__(self) -> int:
        return len(self.takes)

    @cached_property
    def shots(self) -> npt.NDArray[np.int64]:
        """int64 (n,): number of the stretch between two of :attr:`cuts` in which each frame lies."""
        return np.cumsum(self.cuts)

    @cached_property
    def looks(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Each frame's patch in one row, (n, k), and the square of its length, (n,); 6 KB a frame.

        The mean patch is taken off: nearer to 0, fewer digits are lost when patches are compared.
        """
        patches = self.patches.reshape(len(self), -1).astype(np.float32)
        patches -= patches.mean(axis=0)
        return patches, np.square(patches).sum(axis=1)

    @cached_property
    def surroundings(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What is seen about each mouth, (n, k), and the square of its length, (n,); 2.4 KB a frame."""
        around = surroundings(self.patches)
        return around, np.square(around).sum(axis=1)

    def save(self, file: IO[bytes]) -> None:
        """Write the study to a file, uncompressed."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "covers"}
        covers = {f"covers_{f.name}": getattr(self.covers, f.name) for f in fields(Covers)}
        np.savez(file, version=np.int32(VERSION), **arrays, **covers)

    @classmethod
    def load(cls, path: Path, frame_count: int) -> Self | None:
        """Read the study of ``frame_count`` frames; None if there is no such file, or another version's.

        Raises ``OSError`` if it cannot be read now, which says nothing of it.
        """
        if not is_file(path):
            return None
        try:
            with path.open("rb") as file, np.load(file) as stored:
                arrays = {f.name: stored[f.name] for f in fields(cls) if f.name != "covers"}
                covers = Covers(**{f.name: stored[f"covers_{f.name}"] for f in fields(Covers)})
                study = cls(**arrays, covers=covers)
                return study if int(stored["version"]) == VERSION and len(study) == frame_count else None
        except OSError as error:
            if meaning(error) is not None:
                raise
            return None
        except Exception:  # zipfile and numpy raise a dozen kinds; whatever is wrong, it can be made again
            return None


def stored_meshes(path: Path, frame_count: int) -> FaceMeshes | None:
    """Return the meshes of a study of any version; None if there are none, or not of so many frames.

    Raises ``OSError`` as :meth:`Study.load`.
    """
    if not is_file(path):
        return None
    try:
        with path.open("rb") as file, np.load(file) as stored:
            meshes: FaceMeshes = stored["meshes"]
            return meshes if meshes.shape == (frame_count, POINTS, 3) else None
    except OSError as error:
        if meaning(error) is not None:
            raise
        return None
    except Exception:  # as above
        return None


def study_frames(
    frames: Frames,
    layout: FrameLayout,
    fps: float,
    boxes: Boxes,
    landmarks: Landmarks,
    alive: Alive = nothing,
    meshes: FaceMeshes | None = None,
    cuts: FaceFlags | None = None,
    ahead: Notes | None = None,
) -> Study:
    """Measure every frame of an avatar; ``alive`` is called for each and may raise to stop the work.

    By ``fps``, the footage's, it is known in which frames covers are to be looked for.

    ``meshes`` are those of the track, which become the study's; where it has none, one is fitted. ``cuts``
    are the track's, too; without them they are looked for. ``ahead`` is what was measured while the face was
    still followed; the study is the same without it.
    """
    count = len(boxes)
    shown = has_face(boxes) & np.isfinite(landmarks[:, 0, 0])
    notes = Notes(count, cover_every(fps)) if ahead is None else ahead
    notes.settle(landmarks, shown)
    if meshes is None:
        meshes = np.full((count, POINTS, 3), np.nan, np.float32)
    looker, marks = Looker(layout, frames), notes.marks

    def look_at(index: int, buffer: I420Frame) -> tuple[Look, Marked | None] | None:
        face = looker.face(index, buffer, landmarks[index], meshes[index])
        if face is None:
            return None
        return looker.look(face), looker.cover(face) if marks.wants(index) else None

    measured = notes.measured
    left = [index for index in np.flatnonzero(shown).tolist() if not measured[index] or marks.wants(index)]
    for index, seen in _side_by_side(layout, look_at, left):
        alive()
        if seen is not None:
            meshes[index] = seen[0].mesh
            notes.take(index, landmarks[index], *seen)
    if cuts is None:
        cuts = _cuts_of(frames, layout, fps, meshes, alive)
    takes = takes_of(cuts, boxes, shown, fps)

    def cover_of(index: int, buffer: I420Frame) -> Marked | None:
        face = looker.face(index, buffer, landmarks[index], meshes[index])
        return None if face is None else looker.cover(face)

    usual = marks.usual(landmarks)
    doubtful = marks.doubtful(takes, np.isfinite(meshes[:, 0, 0]), usual)
    for index, cover in _side_by_side(layout, cover_of, doubtful):
        alive()
        if cover is not None:
            marks.take(index, cover)
    return Study(
        meshes=meshes,
        teeth=notes.teeth,
        redness=notes.redness,
        parting=notes.parting,
        apart=notes.apart,
        sharpness=notes.sharpness,
        skin=notes.skin,
        patches=notes.patches,
        takes=takes,
        cuts=cuts | jumps_of(meshes),
        covers=gather(marks.lips, marks.kept, marks.suspects, usual, landmarks, alive),
    )


def _cuts_of(frames: Frames, layout: FrameLayout, fps: float, meshes: FaceMeshes, alive: Alive) -> FaceFlags:
    is_cut, frame = CutDetector(layout, fps), np.empty(layout.frame_bytes, np.uint8)
    cuts = np.zeros(len(meshes), np.bool_)
    for index in range(len(meshes)):
        alive()
        frames.read_into(index, frame)
        cuts[index] = is_cut(frame)
    cuts = without_flashes(cuts, is_cut.flashes, meshes)
    cuts[is_cut.dissolves] = True
    return cuts


def takes_of(
    cuts: npt.NDArray[np.bool_], boxes: Boxes, shown: npt.NDArray[np.bool_], fps: float
) -> npt.NDArray[np.int32]:
    """Number the takes of a video; ``cuts`` (n,) says before which frames a cut lies."""
    takes = np.full(len(boxes), -1, np.int32)
    take, last = -1, -1
    for index in np.flatnonzero(shown).tolist():
        box, before = boxes[index].astype(np.float64), boxes[last].astype(np.float64)
        goes_on = last >= 0 and not cuts[last + 1 : index + 1].any() and index - last - 1 <= LONGEST_GAP * fps
        within = min(max(SAME_PLACE, SAME_SPEED * (index - last) / fps), MOST_MOVED)
        if not goes_on or not same_place(before, box, within=within, size_ratio=SAME_SIZE):
            take += 1
        takes[index] = take
        last = index
    return takes


def frames_of_takes(takes: npt.NDArray[np.int32]) -> Iterator[TakeFrames]:
    """Yield the frames of each take, in the order of their numbers."""
    order = np.argsort(takes, kind="stable")
    starts = np.searchsorted(takes[order], np.arange(takes.max(initial=-1) + 2))
    for start, stop in pairwise(starts.tolist()):
        if start < stop:
            yield order[start:stop]


def _side_by_side(
    layout: FrameLayout, work: Callable[[int, I420Frame], Made], indices: Sequence[int]
) -> Iterator[tuple[int, Made]]:
    """Yield each index with what ``work`` makes of it, given a buffer; the next ones are made meanwhile."""
    buffers = [np.empty(layout.frame_bytes, np.uint8) for _ in range(min(_BUFFERS, len(indices)))]
    with ThreadPoolExecutor(THREADS, "study") as pool:
        pending = [pool.submit(work, index, buffer) for index, buffer in zip(indices, buffers, strict=False)]
        for place, index in enumerate(indices):
            slot = place % len(buffers)
            yield index, pending[slot].result()
            if place + len(buffers) < len(indices):
                pending[slot] = pool.submit(work, indices[place + len(buffers)], buffers[slot])
