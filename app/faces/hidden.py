"""Detects occlusions of a face's mouth: a hand, a cup, a microphone, a caption.

Face Mesh keeps drawing a mouth behind anything that covers it, and is as confident as before. Two small
networks of our own look at the lower face, eyes level and at a fixed size, and mark the pixels that are
not face; :mod:`app.faces.agreed` tells what of that counts. ``docs/training/design.md`` describes their
training and their accuracy.
"""

from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov

from app.faces.geometry import mapped
from app.faces.networks import SinglePicture, compiled
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.types import FaceFlags, FaceLandmarks, runs_of
from app.media.frames import Affine, BgrImage

Cover = npt.NDArray[np.uint8]
"""uint8 (n, 96, 96): how surely each pixel of an aligned crop is something before the face, 0 to 255."""

Shares = npt.NDArray[np.float32]
"""float32 (n,): share of the lips that is hidden in each frame, 0..1; nan where a frame has no face."""

CROP_SIZE: Final = 96
"""Side of an aligned crop, pixels."""

_EYE_DISTANCE: Final = 0.5 * CROP_SIZE
_EYE_LINE: Final = 0.05 * CROP_SIZE
"""Where the outer corners of the eyes lie in a crop: so the chin is at about 0.75 of its height."""

_NOSE_OF_EYES: Final = 0.516
"""From the middle of the eyes to below the nose, in distances of their outer corners: the mean face's.
The larger of both measures is taken, as turning a head shortens one and nodding the other."""

ALIGNED_BY: Final = (RIGHT_EYE, LEFT_EYE, 2)
"""Face Mesh points that say how a face is aligned: the outer corners of the eyes, and below the nose."""

_RIGHT_CORNER, _LEFT_CORNER, _UPPER_LIP, _LOWER_LIP = 61, 291, 0, 17
_LIP_MARGIN: Final = (3.0, 2.0)
_LEAST_HEIGHT: Final = 5.0
"""The lips' ellipse reaches this far beyond corners and lips, and has at least this half height, in pixels of
a crop: what is hidden beside shut lips matters as well."""

HIDDEN: Final = 0.3
STILL_HIDDEN: Final = 0.12
_REACH_SECONDS: Final = 0.5
"""A mouth is hidden where its share is above the higher number, and up to so long before and after while it
stays above the lower one: a hand comes and goes. ``docs/training/design.md`` has the figures of people held
out."""
USUAL_MOST: Final = 0.15
"""What is usual for a person (a beard that is taken for something, say) is not held against their frames, but
no more than this of it, and none of it where the usual mouth would be hidden: who is covered all along *is*
covered."""
_SHORTEST_SIGHT: Final = 0.16
"""Seconds: a mouth that is seen for less between two hidden ones stays hidden."""

THREADS: Final = 2
"""Finders that work at once, each on one thread; more wait for each other."""

FAINT: Final = 40
"""What is marked less than this, 0..255, is nothing but doubt."""


def alignment(landmarks: FaceLandmarks) -> Affine:
    """Return the map from pixels of the aligned crop of a face to positions in its frame."""
    right_eye, left_eye, below_nose = landmarks[list(ALIGNED_BY)].astype(np.float64)
    middle = (right_eye + left_eye) / 2
    across = left_eye - right_eye
    length = float(np.hypot(*across))
    down = float(np.hypot(*(below_nose - middle)))
    along = across / max(length, 1e-6) * max(length, down / _NOSE_OF_EYES, 1e-3) / _EYE_DISTANCE
    linear = np.array([[along[0], -along[1]], [along[1], along[0]]])
    return np.column_stack([linear, middle - linear @ [CROP_SIZE / 2, _EYE_LINE]])


def in_crop(affine: Affine, landmarks: FaceLandmarks) -> FaceLandmarks:
    """Return landmarks of a frame in the pixels of its crop; ``affine`` is the crop's."""
    back = np.asarray(cv2.invertAffineTransform(affine), np.float64)
    points: FaceLandmarks = mapped(landmarks, back).astype(np.float32)
    return points


class HiddenFinder:
    """Marks what covers faces in aligned crops, by one network, on one thread of the CPU.

    A crop takes a millisecond or two.
    """

    def __init__(self, path: Path) -> None:
        self._request = compiled(path, SinglePicture(CROP_SIZE, CROP_SIZE), THREADS).create_infer_request()
        self._crop = np.empty((1, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        self._request.set_input_tensor(0, ov.Tensor(self._crop, shared_memory=True))

    def cover(self, crops: Iterable[BgrImage]) -> Cover:
        """Return how surely each pixel of any number of aligned crops (96, 96, 3) hides the face."""
        found = []
        for crop in crops:
            self._crop[0] = crop
            self._request.infer(share_outputs=True)
            found.append(np.rint(255 * self._request.get_output_tensor().data[0]).astype(np.uint8))
        return np.array(found, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE)


def lips_hidden(cover: Cover, points: FaceLandmarks) -> float:
    """Return the share of the lips that is hidden, 0..1.

    ``cover`` is one crop's, (96, 96); ``points`` are its landmarks (see :func:`in_crop`).
    """
    weights = lips_ellipse(points)
    total = float(weights.sum())
    return float((weights * cover).sum()) / (255 * total) if total else 0.0


def lips_ellipse(points: FaceLandmarks) -> npt.NDArray[np.float32]:
    """Return the ellipse around the lips of a crop's landmarks: float32 (96, 96), 1 within, 0 elsewhere."""
    corners = points[[_RIGHT_CORNER, _LEFT_CORNER]]
    upper, lower = points[_UPPER_LIP], points[_LOWER_LIP]
    across = corners[1] - corners[0]
    width = float(np.hypot(*across)) / 2 + _LIP_MARGIN[0]
    height = max(float(np.hypot(*(lower - upper))) / 2 + _LIP_MARGIN[1], _LEAST_HEIGHT)
    middle = (corners.mean(axis=0) + (upper + lower) / 2) / 2
    ellipse = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    place = (float(middle[0]), float(middle[1]))
    cv2.ellipse(ellipse, (place, (2 * width, 2 * height), angle), 1, cv2.FILLED)
    return ellipse.astype(np.float32)


def lips_of(landmarks: FaceLandmarks) -> npt.NDArray[np.float32]:
    """Return :func:`lips_ellipse` in the aligned crop of a frame's ``landmarks`` (468, 2)."""
    return lips_ellipse(in_crop(alignment(landmarks), landmarks))


def hidden_mouths(shares: Shares, fps: float, cuts: FaceFlags | None = None) -> FaceFlags:
    """Tell for each frame of one person's footage whether the mouth is hidden, steady in time.

    What is usual for the person is subtracted first. Frames without a face are not hidden, and end a run, as
    do ``cuts`` (n,): the frames before which one lies.
    """
    seen = np.isfinite(shares)
    if not seen.any():
        return np.zeros(len(shares), np.bool_)
    usual = float(np.median(shares[seen]))
    usual = min(usual, USUAL_MOST) if usual <= HIDDEN else 0.0
    excess = np.where(seen, shares, -1) - usual
    return lasting(excess > HIDDEN, excess > STILL_HIDDEN, fps, seen=seen, cuts=cuts, reach=_REACH_SECONDS)


def lasting(
    firm: FaceFlags,
    faint: FaceFlags,
    fps: float,
    *,
    seen: FaceFlags,
    cuts: FaceFlags | None = None,
    reach: float = inf,
) -> FaceFlags:
    """Return where something is the case, (n,), so that it neither flickers nor goes on for ever.

    That is where it is ``firm``, and up to ``reach`` seconds from there while it is ``faint``; and what is
    left between two such stretches, if it is shorter than a sixth of a second and all of it is ``seen``.
    Nothing goes on beyond one of the ``cuts``.
    """
    result = np.zeros(len(firm), np.bool_)
    begins = [0, *(np.flatnonzero(cuts[1:]) + 1).tolist()] if cuts is not None else [0]
    most, shortest = round(min(reach * fps, len(firm))), round(_SHORTEST_SIGHT * fps)
    for shot in map(slice, begins, [*begins[1:], len(firm)]):
        result[shot] = _reaching(faint[shot], firm[shot], most)
        result[shot] |= _short_gaps(result[shot], seen[shot], shortest)
    return result


def _reaching(faint: FaceFlags, firm: FaceFlags, most: int) -> FaceFlags:
    """Return the frames of runs of ``faint`` that are at most so many from a firm one of the same run."""
    result = np.zeros(len(faint), np.bool_)
    before = np.r_[0, np.cumsum(firm)]
    for start, stop in runs_of(faint):
        frames = np.arange(start, stop)
        result[start:stop] = (
            before[np.minimum(frames + most + 1, stop)] > before[np.maximum(frames - most, start)]
        )
    return result


def _short_gaps(hidden: FaceFlags, seen: FaceFlags, shortest: int) -> FaceFlags:
    """Return the runs of fewer frames than ``shortest`` in which a mouth is seen between two hidden ones."""
    gaps = np.zeros(len(hidden), np.bool_)
    for start, stop in runs_of(~hidden):
        inside = start > 0 and stop < len(hidden)
        gaps[start:stop] = inside and stop - start < shortest and bool(seen[start:stop].all())
    return gaps
