"""Occlusions: hands, cups, captions before a face, frame by frame; mouths are laid around them, if at all."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
import numpy.typing as npt

from app.faces.agreed import Marking, within
from app.faces.boxes import crop_affine
from app.faces.geometry import composed, mapped
from app.faces.hidden import CROP_SIZE, FAINT, Shares, alignment, in_crop, lips_ellipse, lips_of
from app.faces.types import Box, ExactBox, FaceLandmarks, Landmarks, MouthMask
from app.media.frames import Affine
from app.mouths.points import JAW, LOWER_LIP_OUTER
from app.mouths.types import Numbers
from app.progress import Alive, nothing

NOTED: Final = 0.012
"""Share of the lower face from which a cover is kept; below it is nothing but doubt."""

_LOWER_FACE: Final = (slice(30, 84), slice(20, 76))
"""The part of an aligned crop that a mouth with its cheeks and chin takes."""

FIRM: Final = 160
"""What is marked at least faintly, by :data:`app.faces.hidden.FAINT`, counts in full where it goes on to what
is marked firmly, 0..255: the tip of a finger is faint, its hand is not. Not over the lips, for what is marked
between them and a neck may be the edge of a chin; nor over the chin of a mouth that gapes: it hangs before
the neck (:data:`GAPING`)."""

GAPING: Final = 0.5
"""Opening, in distances of the inner eyes, from which a chin hangs before the neck: one of somebody singing
was taken for a part of her shoulders, and her own lower lip was left below the mouth that was laid."""

_OPENING, _EYES = (13, 14), (133, 362)
_CHIN: Final = [*LOWER_LIP_OUTER, *JAW[3:-3]]
"""Face Mesh points of the inner lips, of the inner corners of the eyes, and about the chin."""

_BEYOND_FACE: Final = 5
"""Pixels of the aligned crop beyond the outline of a face within which marks count: a jaw that opens is laid
there. Farther off they are a collar, a neck or what stands behind."""

LASTING: Final = 0.15
"""Share of the lower face from which covers cover the frames between them as well. With every mark doing so,
mouths of two bearded people, marked a little here and there, followed what was heard by 0.12 less."""

_NEIGHBOURS: Final = 0.08
"""Seconds before and after a frame: what covers the face in both covers it in that one as well."""

_SPREAD: Final = 5
"""Pixels of the aligned crop by which a cover is spread: its edge blurs into what is laid."""


LIPS_FAINT, LIPS_FIRM = 0.02, 0.06
"""Shares of the lips that are marked firmly: up to the first what is marked faintly on lips, and just beside
them, does not count, from the second it does, and between them in part. Lips, teeth and shadows are faint: of
16 people in training whose own lips were let through what was laid, half transparent, 14 have 0 to 0.05; a
microphone has 0.04 to 0.32, a hand 0.2 to 0.5."""

_BESIDE_LIPS: Final = 3
"""Pixels of the aligned crop."""


@dataclass(frozen=True)
class Usual:
    """What is marked in most frames of a person."""

    face: Marking
    """What belongs to the face: a beard, say, that is taken for something before it."""
    suspects: Marking
    """The same of what one network alone finds, too."""
    lips: float
    """Share of the lips that the rest hides, 0..1: something that is before the face all along."""


@dataclass(frozen=True)
class Covers:
    """The covers of n frames, of which most have none; those of ten minutes would take 166 MB unpacked."""

    lips: Shares
    """float32 (n,): share of the lips that is hidden; nan without a face."""
    face: Shares
    """float32 (n,): share of the lower face that is hidden, beyond what is usual."""
    beside: Shares
    """float32 (n,): share of the lower face that may be hidden beside the lips, beyond what is usual."""
    rows: npt.NDArray[np.int32]
    """int32 (m,): the frames, sorted, of which a cover is kept."""
    ends: npt.NDArray[np.int64]
    """int64 (m,): where in ``packed`` the cover of each of them ends, and the next one begins."""
    lips_before: npt.NDArray[np.float32]
    """float32 (): share of the lips that something before the face hides in most frames."""
    packed: npt.NDArray[np.uint8]
    """uint8 (k,): the covers, beyond what is usual for the person, by :func:`pack`."""

    def of(self, frame: int, fps: float) -> Marking | None:
        """Return the cover of a frame (96, 96) of footage of ``fps``, None if nothing is before the face.

        What its neighbours in time show, those before it and those after, counts too, if it is more than a
        doubt: a hand that is missed in one frame would flicker.
        """
        near = max(1, round(_NEIGHBOURS * fps))
        own = self._most(frame, frame + 1, 0.0)
        before = self._most(frame - near, frame, LASTING)
        after = self._most(frame + 1, frame + 1 + near, LASTING)
        if before is None or after is None:
            return own
        both = np.minimum(before, after)
        return both if own is None else np.maximum(own, both)

    def _most(self, first: int, stop: int, least: float) -> Marking | None:
        """Return what is before the face in any of some frames that have that share of it, if anything."""
        start, end = np.searchsorted(self.rows, (first, stop)).tolist()
        rows = [row for row in range(start, end) if self.face[self.rows[row]] >= least]
        return np.max([self._unpacked(row) for row in rows], axis=0) if rows else None

    def _unpacked(self, row: int) -> Marking:
        start = self.ends[row - 1] if row else 0
        return unpack(self.packed[start : self.ends[row]].data)


def gather(
    lips: Shares,
    kept: Mapping[int, Marking],
    suspects: Mapping[int, Marking],
    usual: Usual,
    landmarks: Landmarks,
    alive: Alive = nothing,
) -> Covers:
    """Make covers of the marks of single frames, and of what else is suspected; ``usual`` is so in most.

    ``alive`` is called for each and may raise to stop the work.
    """
    face, beside = np.zeros((2, len(lips)), np.float32)
    covers = {}
    for frame in sorted(kept):
        alive()
        cover = _before_face(beyond(kept[frame], usual.face), landmarks[frame])
        face[frame] = lower_face_share(cover)
        if face[frame] >= np.float32(NOTED):
            covers[frame] = pack(cover)
    for frame in sorted(suspects):
        alive()
        suspected = _before_face(beyond(suspects[frame], usual.suspects), landmarks[frame])
        suspected[lips_of(landmarks[frame]) > 0] = 0
        beside[frame] = lower_face_share(suspected)
    return Covers(
        lips,
        face,
        beside,
        rows=np.array(list(covers), np.int32),
        lips_before=np.array(usual.lips, np.float32),
        ends=np.cumsum([len(cover) for cover in covers.values()], dtype=np.int64),
        packed=np.frombuffer(b"".join(covers.values()), np.uint8),
    )


def pack(marks: Marking) -> bytes:
    """Return marks (96, 96) in about a kilobyte, for :func:`unpack`."""
    return zlib.compress(np.ascontiguousarray(marks).data, zlib.Z_BEST_SPEED)


def unpack(packed: bytes | memoryview) -> Marking:
    """Return the marks (96, 96) that :func:`pack` has packed; they cannot be written to."""
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(CROP_SIZE, CROP_SIZE)


def _before_face(marks: Marking, landmarks: FaceLandmarks) -> Marking:
    """Return what marks hide of the face itself: see :data:`FIRM` and :data:`_BEYOND_FACE`."""
    points = in_crop(alignment(landmarks), landmarks)
    count, labels = cv2.connectedComponents((marks >= FAINT).astype(np.uint8))
    firm = np.zeros(count, np.bool_)
    firm[labels[marks >= FIRM]] = True
    cover = np.where(firm[labels] & (_lips_and_chin(points) == 0), np.uint8(255), marks)
    around = cv2.dilate(within(points), np.ones((2 * _BEYOND_FACE + 1,) * 2, np.uint8))
    return np.asarray(cv2.bitwise_and(cover, around), np.uint8)


def _lips_and_chin(points: FaceLandmarks) -> npt.NDArray[np.float32]:
    """Return where marks count as they are, (96, 96): 1 about the lips, and to the chin if a mouth gapes."""
    there = lips_ellipse(points)
    opening, eyes = (float(np.linalg.norm(points[one] - points[other])) for one, other in (_OPENING, _EYES))
    if opening >= GAPING * eyes:
        hull = cv2.convexHull(points[_CHIN])
        cv2.fillPoly(there, [np.rint(hull).astype(np.int32)], 1.0)
    return there


def firm_share(marks: Marking, lips: npt.NDArray[np.float32]) -> float:
    """Return the share of the lips, 1 in (96, 96) and 0 elsewhere, that marks (96, 96) hide firmly, 0..1."""
    return float((marks[lips > 0] >= FIRM).mean()) if lips.any() else 0.0


def without_faint_lips(marks: Marking, lips: npt.NDArray[np.float32]) -> Marking:
    """Return marks without those on lips (see :func:`firm_share`) that are too faint: :data:`LIPS_FIRM`.

    By degrees: what is marked a little more or less from frame to frame is not switched.
    """
    share = firm_share(marks, lips)
    if share >= LIPS_FIRM:
        return marks
    about = cv2.dilate(lips, np.ones((2 * _BESIDE_LIPS + 1,) * 2, np.uint8)) > 0
    faint = np.rint(marks * np.interp(share, (LIPS_FAINT, LIPS_FIRM), (0, 1))).astype(np.uint8)
    return np.where(about & (marks < FIRM), faint, marks)


def beyond(marks: Marking, usual: Marking) -> Marking:
    """Return what marks (96, 96) hide beyond what is usual."""
    return np.asarray(cv2.subtract(marks, usual), np.uint8)


def lower_face_share(marks: Marking) -> float:
    """Return the share of the lower face that marks (96, 96) hide."""
    return float(marks[_LOWER_FACE].mean()) / 255


@dataclass(frozen=True)
class FaceCover:
    """What lies before the face of one frame."""

    hidden: Marking
    """uint8 (96, 96): how surely, spread a little, in the aligned crop."""
    to_crop: Affine
    """From positions in the frame to those in the crop."""

    @classmethod
    def of(cls, marks: Marking, landmarks: FaceLandmarks) -> Self:
        """Spread the marks (96, 96) of a frame whose face is at ``landmarks`` (468, 2)."""
        wide = cv2.GaussianBlur(cv2.dilate(marks, np.ones((_SPREAD, _SPREAD), np.uint8)), (0, 0), _SPREAD / 3)
        to_crop: Affine = np.asarray(cv2.invertAffineTransform(alignment(landmarks)), np.float64)
        return cls(np.asarray(wide, np.uint8), to_crop)

    def at(self, points: Numbers) -> Shares:
        """Return how surely points (k, 2) of the frame are hidden, float32 (k,), 0..1."""
        x, y = mapped(points, self.to_crop).astype(np.float32).T
        hidden = cv2.remap(self.hidden, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return hidden.ravel().astype(np.float32) / np.float32(255)


def spare(mask: MouthMask, cover: FaceCover, box: Box | ExactBox, head: Affine | None = None) -> MouthMask:
    """Return a mask in the crop space of ``box`` without what ``cover`` hides.

    ``head`` maps positions that the box is in to those of the covered frame, where they are others.
    """
    to_frame = crop_affine(box, len(mask))
    if head is not None:
        to_frame = composed(head, to_frame)
    hidden = cv2.warpAffine(
        cover.hidden,
        composed(cover.to_crop, to_frame),
        (len(mask), len(mask)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return np.asarray(cv2.multiply(mask, 255 - hidden, scale=1 / 255), np.uint8)
