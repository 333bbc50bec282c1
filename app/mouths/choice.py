"""Which frame of the footage lends its mouth to each frame of the result: unit selection by a cheapest path.

A lender should have nearly the wanted shape, on a head that is turned, lit and as near as this one; and
neighbours should come from neighbours, or look alike. Both are costs, and the path of least cost through a
few dozen candidates a frame is found by dynamic programming (A. Hunt and A. Black, "Unit selection in a
concatenative speech synthesis system using a large speech database", 1996).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.person import Person
from app.mouths.space import COMPONENTS, OPENING, MouthShapes, shape_space
from app.mouths.study import frames_of_takes
from app.mouths.talking import Numbers
from app.progress import Alive, nothing

FrameNumbers = npt.NDArray[np.int32]
"""int32 (n,): frames of the footage."""

Lenders = npt.NDArray[np.int32]
"""int32 (n,): the frame of the footage that lends its mouth to each of n frames."""

CANDIDATES: Final = 48
"""Lenders that are weighed for one frame."""

MOST_LENDERS: Final = 4000
"""Frames of a take that may lend: more than two minutes of talk hold no more mouths, and take longer."""

MOST_PRODUCTS: Final = 1000
"""Frames of footage whose mouths are all compared with each other at once: 4 MB, and 0.1 CPU s."""

_STRETCH: Final = 50
"""Frames that are kept or left out together, for they are lent in a row."""

BENT_WELL, STRETCH = 0.06, 0.05
"""How much wider than its lender a mouth looks well when it is bent open, and a unit beyond that, in
distances of the inner eyes. Set by eye on two people in training whose teeth were stretched."""


@dataclass(frozen=True)
class Costs:
    """What counts how much; set by eye and by figures on people in training."""

    shape: float = 1.0
    """Of a squared deviation of the first component."""
    stretch: float = 1.0
    """Of each :data:`STRETCH` by which the lender opens less than is wanted, beyond :data:`BENT_WELL`, by the
    square: teeth are stretched there, and the dark between them is missing."""
    teeth: float = 0.25
    """Weight of a unit of teeth, beside components in units of the first one's size."""
    turn: float = 0.5
    """Of a head turned by 8 degrees more or less, by the square."""
    light: float = 6.0
    """Of a difference of 1 in the logarithm of the skin's brightness, or of a tint of it, by the square."""
    near: float = 4.0
    """Of a difference of 1 in the logarithm of the head's size, by the square."""
    jump: float = 0.12
    """Of any change but to the lender's neighbours in time."""
    seam: float = 0.03
    """Of each step (of 255) by which the mouths that meet at a change look different."""
    still: float = 0.05
    """Of staying with the same lender for a frame, in which motion freezes."""


REST_COSTS: Final = Costs(still=0.0, jump=1.0)
"""Where the mouth is to rest there is no motion to keep, and a change only shows."""

_BLOCK, _BESIDE = 250, 50
"""Frames of footage for which resting mouths are chosen together, and those on each side that have a say: by
then paths that begin apart have most often met, so that blocks which meet agree."""


def _sizes() -> Numbers:
    """Return the size of one deviation of each component over that of the first."""
    geometry = 1 / np.linalg.norm(shape_space().basis, axis=1)
    sizes: Numbers = geometry / geometry[0]
    return sizes


SIZES: Final = _sizes()


class Chooser:
    """Chooses lenders among the frames of one person's footage."""

    def __init__(self, person: Person, costs: Costs = Costs()) -> None:
        self._person = person
        self._costs = costs
        self._weights = np.r_[SIZES, np.full(2, costs.teeth)] * np.sqrt(costs.shape)
        size = np.log(np.maximum(person.pose.scale, 1e-9))
        self._place = np.column_stack(
            [
                person.turns * np.sqrt(costs.turn) / 8,
                person.places.light * np.sqrt(costs.light),
                size * np.sqrt(costs.near),
            ]
        )
        self._shapes = person.shapes * self._weights
        patches = person.study.patches.reshape(len(person), -1).astype(np.float32)
        self._patches = patches - patches.mean(axis=0)  # nearer to 0, so that fewer digits are lost
        self._lengths = np.square(self._patches).sum(axis=1)
        takes = person.study.takes
        self._pools = {
            int(takes[take[0]]): _thinned(take[person.usable[take]]) for take in frames_of_takes(takes)
        }

    def local_costs(
        self, wanted: MouthShapes, shown: FrameNumbers, alive: Alive = nothing
    ) -> list[tuple[FrameNumbers, Numbers]]:
        """Return for each frame the best candidates and what each costs by itself.

        ``wanted`` (n, 8) are the shapes, ``shown`` (n,) the frames of the footage on which they are to be
        laid. A frame to which nobody may lend serves itself. ``alive`` is called for each, and may raise to
        stop.
        """
        result: list[tuple[FrameNumbers, Numbers]] = []
        openings = wanted[:, :COMPONENTS] @ OPENING
        for shape, opening, frame in zip(wanted * self._weights, openings, shown, strict=True):
            alive()
            pool = self._pools.get(int(self._person.study.takes[frame]), np.empty(0, np.int64))
            pool = pool[self._person.places.fit(pool, np.array([frame]))[0]]
            if not len(pool):
                result.append((np.array([frame], np.int32), np.zeros(1)))
                continue
            cost = np.square(self._shapes[pool] - shape).sum(axis=1)
            cost += np.square(self._place[pool] - self._place[frame]).sum(axis=1)
            stretched = np.maximum(opening - self._person.openings[pool] - BENT_WELL, 0) / STRETCH
            cost += self._costs.stretch * np.square(stretched)
            best = np.argpartition(cost, CANDIDATES)[:CANDIDATES] if len(pool) > CANDIDATES else slice(None)
            result.append((pool[best].astype(np.int32), cost[best]))
        return result

    def choose(
        self,
        wanted: MouthShapes,
        shown: FrameNumbers,
        pinned: tuple[bool, bool] = (False, False),
        alive: Alive = nothing,
    ) -> Lenders:
        """Return the lenders of a run of frames, the cheapest path; ``alive`` is called for each.

        ``pinned`` says whether the first and the last frame take the candidate that is best by itself:
        two runs that share a pinned frame agree on it, so that they can be chosen apart.
        """
        local = self.local_costs(wanted, shown, alive)
        for end, pin in zip((0, -1), pinned, strict=True):
            if pin:
                candidates, cost = local[end]
                best = int(cost.argmin())
                local[end] = (candidates[best : best + 1], cost[best : best + 1])
        total, came = local[0][1], []
        for (before, _), (candidates, cost) in pairwise(local):
            alive()
            ways = total[:, None] + self._changes(before, candidates)
            best_way = ways.argmin(axis=0)
            came.append(best_way)
            total = ways[best_way, np.arange(len(candidates))] + cost
        place = int(total.argmin())
        path = [place]
        for best_way in reversed(came):
            place = int(best_way[place])
            path.append(place)
        chosen = [candidates[place] for (candidates, _), place in zip(local, reversed(path), strict=True)]
        return np.array(chosen, np.int32)

    def unlike(self, one: FrameNumbers, other: FrameNumbers) -> Numbers:
        """Return how different mouths look, (len(one), len(other)): root mean square, steps of 0..255."""
        if self._products is None:
            products = self._patches[one] @ self._patches[other].T
        else:
            products = self._products[one[:, None], other]
        square = self._lengths[one][:, None] + self._lengths[other] - 2 * products
        unlike: Numbers = np.sqrt(np.maximum(square, 0) / self._patches.shape[1]).astype(np.float64)
        return unlike

    @cached_property
    def _products(self) -> npt.NDArray[np.float32] | None:
        """Of each frame's patch with each other one's, (n, n); None for so many that it would take long."""
        return self._patches @ self._patches.T if len(self._patches) <= MOST_PRODUCTS else None

    def _changes(self, before: FrameNumbers, after: FrameNumbers) -> Numbers:
        """Return what going from each lender to each other one costs."""
        costs = self._costs
        change = costs.jump + costs.seam * self.unlike(before, after)
        step = np.abs(after[None].astype(np.int64) - before[:, None])
        change[step == 1] = 0
        change[step == 0] = costs.still
        return change


def _thinned(pool: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return stretches of a pool, spread evenly over it, of :data:`MOST_LENDERS` frames at most."""
    parts = -(-len(pool) // MOST_LENDERS)
    return pool if parts < 2 else pool[(np.arange(len(pool)) // _STRETCH) % parts == 0]


class RestLenders:
    """Which frames lend resting mouths to those of one person's footage, worked out where they are asked for.

    It depends on nothing but the footage: whoever asks, and in whatever order, is told the same.
    """

    def __init__(self, person: Person) -> None:
        self._known = np.flatnonzero(person.study.takes >= 0).astype(np.int32)
        self._chooser = Chooser(replace(person, usable=person.usable & person.rest), REST_COSTS)
        self._lenders = np.full(len(person), -1, np.int32)
        self._blocks: set[int] = set()

    def of(self, frames: FrameNumbers, alive: Alive = nothing) -> Lenders:
        """Return for each of ``frames`` one whose mouth rests, to be laid onto its head; -1 without.

        ``alive`` is called for each that is weighed, and may raise to stop.
        """
        shown = frames[np.isin(frames, self._known)]
        for block in np.unique(np.searchsorted(self._known, shown) // _BLOCK).tolist():
            if block not in self._blocks:
                self._choose(block, alive)
                self._blocks.add(block)
        lenders: Lenders = self._lenders[frames]
        return lenders

    def _choose(self, block: int, alive: Alive) -> None:
        start, stop = block * _BLOCK, min((block + 1) * _BLOCK, len(self._known))
        first = max(0, start - _BESIDE)
        shown = self._known[first : stop + _BESIDE]
        chosen = self._chooser.choose(np.zeros((len(shown), 8), np.float32), shown, alive=alive)
        self._lenders[self._known[start:stop]] = chosen[start - first : stop - first]


def rest_lenders(person: Person, alive: Alive = nothing) -> Lenders:
    """Return for every frame of the footage what :class:`RestLenders` says of it."""
    return RestLenders(person).of(np.arange(len(person), dtype=np.int32), alive)
