"""Choosing a face: runs become candidates, and each scene gets one of them."""

from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final

import numpy as np

from app.errors import NoFace
from app.faces.following import Run, most_gap
from app.faces.geometry import UNMOVED, UNMOVED_RATIO, distance, extent, same_place
from app.faces.leaning import LYING, lean_of
from app.faces.types import FaceChoice

MAX_SIZE_RATIO: Final = 2.0
"""Most by which a face's size may change while it is out of sight, to count as the same person."""

MAX_SPEED: Final = 3.0
"""How far a face may have come while it was out of sight, in face sizes a second."""

MIN_SHARE: Final = 0.25
"""A face counts among "left", "right" and positions if it is seen for this share of the time of the one seen
longest in its scene: passers-by do not."""


@dataclass
class Candidate:
    """The runs of one person's face within one scene, in the order of time."""

    runs: list[Run]

    @property
    def frames(self) -> int:
        """How many frames show this face."""
        return sum(len(run.sightings) for run in self.runs)

    @property
    def longest_run(self) -> int:
        """How many frames of its longest run show this face."""
        return max(len(run.sightings) for run in self.runs)

    @property
    def area(self) -> float:
        """Sum of the face's area over all frames, pixels."""
        return sum(extent(sighting.box) ** 2 for run in self.runs for sighting in run.sightings)

    @property
    def lies(self) -> bool:
        """Whether the head lies on its side, or upside down, where it is seen last."""
        return abs(lean_of(self.runs[-1].last.fit.landmarks)) >= LYING

    @property
    def x(self) -> float:
        """Mean horizontal position, pixels."""
        centers = [sighting.box[2:].mean() for run in self.runs for sighting in run.sightings]
        return float(sum(centers) / len(centers))


def choose(runs: list[Run], choice: FaceChoice, fps: float, min_frames: int) -> list[Run]:
    """Return the runs of the face that is asked for, in the order of time: one candidate of each scene.

    One never seen for ``min_frames`` in a run does not count, unless no shot is that long, and faces are seen
    in as many frames in a row. Raises :class:`NoFace` if there is no other, or none where one is asked for.
    """
    least = 1 if _all_are_short(runs, min_frames) else min_frames
    scenes = [
        [candidate for candidate in link(scene, fps) if candidate.longest_run >= least]
        for scene in split_scenes(runs, fps)
    ]
    scenes = [candidates for candidates in scenes if candidates]
    if not scenes:
        raise NoFace(
            "No face was found in the video; film one person from the front, in good light and close up."
        )
    chosen = [candidate for candidates in scenes if (candidate := _pick(candidates, choice))]
    if not chosen:
        most = max(len(_lasting(candidates)) for candidates in scenes)
        faces = "one face is" if most == 1 else f"{most} faces are"
        raise NoFace(
            f"Face {choice.rule} was requested, counted from 0 at the left, but only {faces} visible in the "
            "video; request a smaller number.",
            seen=not all(candidate.lies for candidates in scenes for candidate in candidates),
        )
    return [run for candidate in chosen for run in candidate.runs]


def _all_are_short(runs: list[Run], least: int) -> bool:
    """Tell whether no run has ``least`` frames, though as many in a row show faces: of ever other shots."""
    frames = np.unique([sighting.frame for run in runs for sighting in run.sightings])
    rows = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    longest = max((len(run.sightings) for run in runs), default=least)
    return longest < least <= max(len(row) for row in rows)


def split_scenes(runs: list[Run], fps: float) -> list[list[Run]]:
    """Group runs by scene: shots belong to one scene while some face stays in its place across the cut."""
    scenes: list[list[Run]] = []
    for _, shot in groupby(runs, key=lambda run: run.shot):
        started = list(shot)
        if scenes and _continues(scenes[-1], started, most_gap(fps)):
            scenes[-1].extend(started)
        else:
            scenes.append(started)
    return scenes


def link(runs: list[Run], fps: float) -> list[Candidate]:
    """Join the runs of one scene into candidates: who comes back is the same, by place and size."""
    candidates: list[Candidate] = []
    for run in runs:
        gone = [candidate for candidate in candidates if _can_follow(candidate.runs[-1], run, fps)]
        if gone:
            min(gone, key=lambda candidate: _unlikeness(candidate.runs[-1], run)).runs.append(run)
        else:
            candidates.append(Candidate([run]))
    return candidates


def _continues(scene: list[Run], started: list[Run], gap: int) -> bool:
    """Tell whether a face of ``scene`` is still in its place in the runs that a shot begins with.

    Every shot has a frame at least, so that only faces of the last few are not gone too long.
    """
    last = takewhile(lambda run: started[0].shot - run.shot <= gap + 1, reversed(scene))
    return any(
        new.sightings[0].frame - old.last.frame <= gap + 1
        and same_place(old.last.box, new.sightings[0].box, within=UNMOVED, size_ratio=UNMOVED_RATIO)
        for old in last
        for new in started
    )


def _can_follow(old: Run, new: Run, fps: float) -> bool:
    first = new.sightings[0]
    seconds = (first.frame - old.last.frame) / fps
    ratio = extent(old.last.box) / extent(first.box)
    near = distance(old.last.box, first.box) < 1 + MAX_SPEED * seconds
    return seconds > 0 and near and 1 / MAX_SIZE_RATIO < ratio < MAX_SIZE_RATIO


def _unlikeness(old: Run, new: Run) -> float:
    box, other = old.last.box, new.sightings[0].box
    return distance(box, other) + abs(float(np.log2(extent(box) / extent(other))))


def faces_at_once(runs: list[Run], frames: int) -> int:
    """Return how many faces are visible at once, passers-by left out.

    It is for as long together, of ``frames`` frames, as a face must be seen to count.
    """
    longest = max(len(run.sightings) for run in runs)
    counts = np.zeros(frames, int)
    for run in runs:
        if len(run.sightings) >= MIN_SHARE * longest:
            counts[[sighting.frame for sighting in run.sightings]] += 1
    return int(np.sort(counts)[-max(1, round(MIN_SHARE * longest))])


def _lasting(candidates: list[Candidate]) -> list[Candidate]:
    longest = max(candidate.frames for candidate in candidates)
    lasting = [candidate for candidate in candidates if candidate.frames >= MIN_SHARE * longest]
    return sorted(lasting, key=lambda candidate: candidate.x)


def _pick(candidates: list[Candidate], choice: FaceChoice) -> Candidate | None:
    if choice.position is None:
        return max(candidates, key=lambda candidate: candidate.area)
    lasting = _lasting(candidates)
    return lasting[choice.position] if choice.position < len(lasting) else None
