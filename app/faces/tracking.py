"""One face through a whole video: detected, tracked, chosen and smoothed; its crop boxes and landmarks."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import numpy as np

from app.errors import NoFace
from app.faces.boxes import padded
from app.faces.choice import choose, faces_at_once
from app.faces.cuts import jumps_of, without_flashes
from app.faces.detector import FaceDetector
from app.faces.face_mesh import POINTS
from app.faces.following import Follower, Run
from app.faces.settling import Settled, Settling
from app.faces.smoothing import DEFAULT_SMOOTHING, check_smoothing, fill_gaps, smooth
from app.faces.types import (
    DEFAULT_PADS,
    LARGEST,
    ExactBox,
    FaceChoice,
    FaceFlags,
    FaceMeshes,
    FaceTrack,
    Landmarks,
    Pads,
    has_face,
)
from app.media.frames import FrameLayout, I420Frame
from app.progress import Progress
from app.sandbox import give_back_memory

Stretch = tuple[int, int]
"""First frame of some in a row, and the one after the last."""

MIN_FRAMES: Final = 3
"""A face seen in fewer frames is an accident, unless the whole video is that short."""

LANDMARK_SHARE: Final = 0.5
"""Landmarks are smoothed over this share of the boxes' time: a mask must follow a moving chin."""

_SIGHTINGS_AT_ONCE: Final = 8192
"""Sightings of which the meshes are moved before their memory is given back."""

_POINTS_AT_ONCE: Final = 1 << 16
"""Points of all frames that are smoothed together: that takes about 80 bytes each."""


def track_face(
    frames: Iterable[I420Frame],
    layout: FrameLayout,
    *,
    fps: float,
    detector: FaceDetector,
    choice: FaceChoice = LARGEST,
    smoothing: float = DEFAULT_SMOOTHING,
    pads: Pads = DEFAULT_PADS,
    expected_frames: int = 0,
    progress: Progress | None = None,
    settled: Settled | None = None,
) -> FaceTrack:
    """Follow one face through ``frames``, which are read once and not kept.

    ``smoothing`` is in seconds, 0 (off) to 1. ``expected_frames`` is what ``progress`` is told as the
    total; ``settled`` is told of the face in frames while it is still followed in others. Boxes, landmarks
    and meshes are in luma pixels; frames without the face have -1 and nan. Raises :class:`NoFace` if the
    video does not show the face that is asked for, or ``pads`` leave nothing of it, and
    :class:`app.errors.InvalidRequest` for a smoothing out of range.
    """
    check_smoothing(smoothing)
    follower = Follower(layout, fps, detector)
    settling = Settling(choice, smoothing * fps * LANDMARK_SHARE, settled) if settled else None
    count = 0
    for count, frame in enumerate(frames, start=1):
        follower.take(count - 1, frame)
        if settling:
            settling.take(follower.active)
        if progress:
            progress(count, max(count, expected_frames))
    follower.end()
    runs = choose(follower.runs, choice, fps, min_frames=min(MIN_FRAMES, count))
    faces = faces_at_once(follower.runs, count)
    stretches = [(run.sightings[0].frame, run.last.frame + 1) for run in runs]
    exact, meshes = _spread(runs, count)
    told = np.array(follower.cuts, np.bool_)
    cuts = without_flashes(told, follower.flashes, meshes)
    jumps = jumps_of(meshes)
    cuts[follower.dissolves] = jumps[follower.dissolves] = True
    stretches = _between(stretches, told & ~cuts, jumps)
    landmarks = _smoothed(exact, meshes, stretches, smoothing * fps)
    boxes = padded(exact, pads)
    if not has_face(boxes).any():
        raise NoFace("The pads leave nothing of the face box; draw the crop in by less.", seen=True)
    return FaceTrack(boxes, landmarks, meshes, detector.name, cuts, faces)


def _spread(runs: list[Run], count: int) -> tuple[ExactBox, FaceMeshes]:
    """Lay the boxes and meshes of the runs out over all frames, nan where there is none.

    The runs are empty afterwards: of ten minutes, their sightings take 165 MB, which landmarks need next.
    """
    boxes = np.full((count, 4), np.nan)
    meshes, fitted = np.empty((count, POINTS, 3), np.float32), np.zeros(count, np.bool_)
    for run in runs:
        while run.sightings:
            sighting = run.sightings.pop()
            boxes[sighting.frame] = sighting.box
            meshes[sighting.frame], fitted[sighting.frame] = sighting.fit.mesh, True
            if len(run.sightings) % _SIGHTINGS_AT_ONCE == 0:
                del sighting
                give_back_memory()
    meshes[~fitted] = np.nan
    return boxes, meshes


def _between(stretches: list[Stretch], flashes: FaceFlags, jumps: FaceFlags) -> list[Stretch]:
    """Return stretches within which motion goes on: joined where a flash parts them, parted by a jump."""
    joined: list[Stretch] = []
    for first, stop in stretches:
        if joined and flashes[joined[-1][1] : first + 1].any():
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((first, stop))
    parted: list[Stretch] = []
    for first, stop in joined:
        places = [first, *(first + 1 + np.flatnonzero(jumps[first + 1 : stop])).tolist(), stop]
        parted.extend(pairwise(places))
    return parted


def _smoothed(boxes: ExactBox, meshes: FaceMeshes, stretches: list[Stretch], window: float) -> Landmarks:
    """Smooth the boxes in place, and return smoothed landmarks; ``window`` is the smoothing in frames."""
    landmarks = np.full((len(boxes), POINTS, 2), np.nan, np.float32)
    for first, stop in stretches:
        boxes[first:stop] = smooth(fill_gaps(boxes[first:stop]), window)
        parts = min(POINTS, 1 + (stop - first) * POINTS // _POINTS_AT_ONCE)
        for some in np.array_split(np.arange(POINTS), parts):
            points = meshes[first:stop, some, :2].reshape(stop - first, -1)
            smoothed = smooth(fill_gaps(points), window * LANDMARK_SHARE)
            landmarks[first:stop, some] = smoothed.reshape(-1, len(some), 2)
    give_back_memory()
    return landmarks
