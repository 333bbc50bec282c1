"""Which frame of the footage lends its mouth to each frame of the result: unit selection by a cheapest path.

A lender should have nearly the wanted shape, on a head that is turned, lit and as near as this one; and
neighbours should come from neighbours, or look alike. Both are costs, and the path of least cost through a
few dozen candidates a frame is found by dynamic programming (A. Hunt and A. Black, "Unit selection in a
concatenative speech synthesis system using a large speech database", 1996).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.ear import SpeechShares
from app.mouths.lending import FARTHEST_TURN
from app.mouths.person import Person
from app.mouths.space import COMPONENTS, OPENING, TEETH_UNITS, MouthShapes, shape_space
from app.mouths.study import frames_of_takes
from app.mouths.types import Numbers
from app.progress import Alive, nothing

FrameNumbers = npt.NDArray[np.int32]
"""int32 (n,): frames of the footage."""

Lenders = npt.NDArray[np.int32]
"""int32 (n,): the frame of the footage that lends its mouth to each of n frames."""

CANDIDATES, MOST_CANDIDATES = 48, 120
"""Lenders that are weighed for one frame, of footage at :data:`RATE`, and at most: of twice as many frames a
second twice as many, that they be as many moments."""

MOST_LENDERS: Final = 4000
"""Frames of a take that may lend: more than two minutes of talk hold no more mouths, and take longer."""

MOST_PRODUCTS: Final = 1000
"""Frames of footage whose mouths are all compared with each other at once: 4 MB, and 0.1 CPU s."""

_STRETCH: Final = 50
"""Frames that are kept or left out together, for they are lent in a row."""

BENT_WELL, STRETCH = 0.08, 0.05
"""By how much a lender may be bent open and look well, and a unit beyond that, in distances of the inner
eyes, times by how much its opening grows: the teeth of a mouth that opens a little are soon twice as high,
those of one that opens wide hardly higher. Set by eye on people in training whose teeth were stretched."""

USUAL_TEETH: Final = 4.0
"""Teeth that fill the gap between the lips grow with it, where the dark between two rows may: a lender that
shows more of them than this, in percent of the squared eyes' distance over its opening, looks worse by as
much. About the median of 28 people in training; set by eye on one who was lent clenched teeth of twice their
height."""
_LIPS_APART: Final = 0.05
"""Opening that is added to each: where lips hardly part, a tooth is no clenched row."""

LEAST_GAP, MOST_GROWN = 0.02, 3.0
"""Opening, in distances of the inner eyes, that a mesh does not tell from none; and how much wider an opening
counts as at most."""


ORDINARY: Final = 0.03
"""Mean square by which what is seen about two mouths differs in any case: a head turns, cheeks move. Where
that costs as well, a frame's own expression draws its lender away from what is wanted."""


@dataclass(frozen=True)
class Costs:
    """What counts how much; set by eye and by figures on people in training."""

    shape: float = 1.0
    """Of a squared deviation of the first component."""
    stretch: float = 1.0
    """Of each :data:`STRETCH` by which a lender is bent open beyond :data:`BENT_WELL`, by the square: teeth
    are stretched there, and the dark between them is missing."""
    teeth: float = 0.25
    """Weight of a unit of teeth, beside components in units of the first one's size."""
    turn: float = 0.5
    """Of a head turned by 8 degrees more or less, by the square."""
    light: float = 6.0
    """Of a difference of 1 in the logarithm of the skin's brightness, or of a tint of it, by the square."""
    near: float = 4.0
    """Of a difference of 1 in the logarithm of the head's size, by the square."""
    small: float = 4.0
    """The same once more where the lender's head is the smaller one: its mouth is enlarged and looks soft."""
    sharp: float = 6.0
    """Of a difference of 1 in :func:`app.mouths.looks.sharpness`, by the square: a crisp mouth on a head that
    is blurred by its motion stands out as a soft one does on a head at rest. By 16 one of four people in
    training followed what was said worse, by 6 none."""
    jump: float = 0.12
    """Of any change but by as much as the footage itself moves on, forward or backward."""
    around: float = 15.0
    """Of the mean square, beyond :data:`ORDINARY`, by which what is seen about the mouth differs, whatever
    the light, by :func:`app.mouths.looks.surroundings`: a grin belongs to its cheeks, a microphone or a patch
    of sun to its frame. From 30 on people in training follow what is heard less."""
    seam: float = 0.04
    """Of each step (of 255) by which the mouths that meet at a change look different."""
    still: float = 0.06
    """Of staying with the same lender for a frame in which the footage moves on, so that motion freezes."""
    reversal: float = 0.07
    """Of going backward after forward or the other way about: two neighbours in turn buzz."""


QUIET: Final = 0.25
"""Share of speech from which somebody counts as speaking; below it, by degrees, as quiet."""

QUIET_APART, QUIET_PARTING = 1.0, 0.2
"""Of a percent of the eyes' distance by which lips are seen to part further than where they meet, by the
square, while nobody speaks: by :mod:`app.mouths.lips_apart`, and by :func:`app.mouths.looks.parting`, which
takes thin lips under a moustache, or dark ones, for parted. Lips that a mesh sees meet may show teeth. While
somebody speaks it brings nothing (five people in training follow by 0.672 with and without)."""

QUIET_JUMP, QUIET_TURN = 2.0, 5.0
"""What a jump or a turn costs while nobody speaks, beside staying for nothing: no motion is to be kept, and
a change only shows. And degrees by which a head may be turned further there from that of the lender: a shut
mouth laid a little askew is seen less than one that is changed for four frames and back. In silence 30 people
change lenders 0.26 times a second instead of 0.49, and their lips are no further apart."""

RATE: Final = 24.0
"""Frames a second for which costs are set: what a frame costs by itself counts by the time it is seen."""

Steps = npt.NDArray[np.int64]
"""int64 (n - 1,): frames by which the footage moves on from each of n frames to the next at its own speed."""


def _sizes() -> Numbers:
    """Return the size of one deviation of each component over that of the first."""
    geometry = 1 / np.linalg.norm(shape_space().basis, axis=1)
    sizes: Numbers = geometry / geometry[0]
    return sizes


SIZES: Final = _sizes()


def _apart(person: Person) -> Numbers:
    """Return what each frame costs while nobody speaks for how far its lips are seen to part, (n,)."""
    resting = person.usable & person.rest
    cost = np.zeros(len(person))
    for seen, weight in ((person.study.apart, QUIET_APART), (person.study.parting, QUIET_PARTING)):
        least = float(np.quantile(seen[resting], 0.05)) if resting.any() else 0.0
        cost += weight * np.square(np.maximum(seen - least, 0.0))
    return cost


def _clenched(person: Person) -> Numbers:
    """Return how much worse than usual a frame looks if it is bent open, (n,), 1 or more."""
    teeth = np.maximum(person.shapes[:, COMPONENTS:], 0) @ TEETH_UNITS
    dense = teeth / (np.maximum(person.openings, 0) + _LIPS_APART)
    worse: Numbers = np.maximum(dense / USUAL_TEETH, 1.0)
    return worse


def _quiet(speech: SpeechShares | float, count: int) -> Numbers:
    """Return how far nobody speaks in each of ``count`` frames, 0..1."""
    quiet: Numbers = np.clip(1 - np.broadcast_to(speech, count).astype(np.float64) / QUIET, 0, 1)
    return quiet


class Chooser:
    """Chooses lenders among the frames of one person's footage."""

    def __init__(self, person: Person, costs: Costs = Costs(), rate: float | None = None) -> None:
        """``rate`` is that of the frames to choose for, a second; None for the footage's own.

        Of footage that is more than twice as fast only every second frame may lend, and so on: neighbours
        there are no choice. About :data:`RATE` a second may at any rate.
        """
        self._person = person
        self._share = RATE / (rate or person.fps)
        stride = max(1, min(int(person.fps / (rate or person.fps)), round(person.fps / RATE)))
        dense = person.fps / stride / RATE
        self._candidates = int(np.clip(CANDIDATES * dense, CANDIDATES, MOST_CANDIDATES))
        self._costs = costs
        self._weights = np.r_[SIZES, np.full(2, costs.teeth)] * np.sqrt(costs.shape)
        size = self._scale = np.log(np.maximum(person.pose.scale, 1e-9))
        self._place = np.column_stack(
            [
                person.turns * np.sqrt(costs.turn) / 8,
                person.places.light * np.sqrt(costs.light),
                size * np.sqrt(costs.near),
                person.study.sharpness * np.sqrt(costs.sharp),
            ]
        )
        self._shapes = person.shapes * self._weights
        self._apart = _apart(person)
        self._clenched = _clenched(person)
        self._patches, self._lengths = person.study.looks
        self._around, self._around_lengths = person.study.surroundings
        takes = person.study.takes
        usable = person.usable & (np.arange(len(person)) % stride == 0)
        self._pools = {int(takes[take[0]]): _thinned(take[usable[take]]) for take in frames_of_takes(takes)}

    def local_costs(
        self,
        wanted: MouthShapes,
        shown: FrameNumbers,
        speech: SpeechShares | float = 1.0,
        alive: Alive = nothing,
    ) -> list[tuple[FrameNumbers, Numbers]]:
        """Return for each frame the best candidates and what each costs by itself.

        ``wanted`` (n, 8) are the shapes, ``shown`` (n,) the frames of the footage on which they are to be
        laid, ``speech`` (n,), 0..1, whether somebody speaks. A frame to which nobody may lend serves itself.
        ``alive`` is called for each, and may raise to stop.
        """
        result: list[tuple[FrameNumbers, Numbers]] = []
        openings = wanted[:, :COMPONENTS] @ OPENING
        quiet = _quiet(speech, len(shown))
        for row, frame in enumerate(shown.tolist()):
            alive()
            pool = self._pools.get(int(self._person.study.takes[frame]), np.empty(0, np.int64))
            farthest = FARTHEST_TURN + float(quiet[row]) * QUIET_TURN
            pool = pool[self._person.places.fit(pool, np.array([frame]), farthest)[0]]
            if not len(pool):
                result.append((np.array([frame], np.int32), np.zeros(1)))
                continue
            cost = np.square(self._shapes[pool] - wanted[row] * self._weights).sum(axis=1)
            cost += np.square(self._place[pool] - self._place[frame]).sum(axis=1)
            cost += self._unlike_around(pool, frame)
            smaller = np.maximum(self._scale[pool] - self._scale[frame], 0)
            cost += self._costs.small * np.square(smaller)
            cost += self._costs.stretch * self._stretched(float(openings[row]), pool)
            if quiet[row]:
                cost += quiet[row] * self._apart[pool]
            cost *= self._share
            most = self._candidates
            best = np.argpartition(cost, most)[:most] if len(pool) > most else slice(None)
            result.append((pool[best].astype(np.int32), cost[best]))
        return result

    def _unlike_around(self, pool: npt.NDArray[np.int64], frame: int) -> Numbers:
        """Return what it costs that the surroundings of each lender are not those of a frame."""
        square = self._around_lengths[pool] + self._around_lengths[frame]
        square -= 2 * self._around[pool] @ self._around[frame]
        unlike: Numbers = np.maximum(square - np.float32(ORDINARY), 0).astype(np.float64)
        return self._costs.around * unlike

    def _stretched(self, opening: float, pool: npt.NDArray[np.int64]) -> Numbers:
        """Return how far each lender would be stretched to have this opening, squared units."""
        lack = np.maximum(opening - self._person.openings[pool], 0)
        gap = np.maximum(self._person.openings[pool] + self._person.ajar[pool], 0) + LEAST_GAP
        grown = np.minimum((gap + lack) / gap, MOST_GROWN)
        stretched: Numbers = np.square(np.maximum(lack * grown - BENT_WELL, 0) / STRETCH)
        stretched *= self._clenched[pool]
        return stretched

    def choose(
        self,
        wanted: MouthShapes,
        shown: FrameNumbers,
        speech: SpeechShares | float = 1.0,
        steps: Steps | None = None,
        pinned: tuple[int | None, int | None] = (None, None),
        alive: Alive = nothing,
    ) -> Lenders:
        """Return the lenders of a run of frames, the cheapest path; ``alive`` is called for each.

        ``speech`` (n,), 0..1, is whether somebody speaks. ``steps`` are one frame each where they are not
        given. ``pinned`` are the lenders of the first and of the last frame, where they are known.
        """
        local = self.local_costs(wanted, shown, speech, alive)
        for end, pin in zip((0, -1), pinned, strict=True):
            if pin is not None:
                local[end] = (np.array([pin], np.int32), np.zeros(1))
        steps = np.ones(len(shown) - 1, np.int64) if steps is None else steps
        quiet = _quiet(speech, len(shown))
        quiet = np.minimum(quiet[:-1], quiet[1:])
        total, came = np.tile(local[0][1], 2), []  # of the best ways that go forward, then of those backward
        for row, (step, rests) in enumerate(zip(steps.tolist(), quiet.tolist(), strict=True)):
            alive()
            candidates, cost = local[row + 1]
            ways = total[:, None] + self._changes(local[row][0], candidates, step, rests)
            best_way = ways.argmin(axis=0)
            came.append(best_way)
            total = (ways.min(axis=0).reshape(2, -1) + cost).ravel()
        place = int(total.argmin())
        path = [place]
        for best_way in reversed(came):
            place = int(best_way[place])
            path.append(place)
        ends = zip(local, reversed(path), strict=True)
        return np.array([candidates[place % len(candidates)] for (candidates, _), place in ends], np.int32)

    def unlike(self, one: FrameNumbers, other: FrameNumbers) -> Numbers:
        """Return how different mouths look, (len(one), len(other)): root mean square, steps of 0..255."""
        if self._products is None:
            products = self._patches[one] @ self._patches[other].T
        else:
            products = self._products.take(one, axis=0).take(other, axis=1)
        square = self._lengths[one][:, None] + self._lengths[other] - 2 * products
        unlike: Numbers = np.sqrt(np.maximum(square, 0) / self._patches.shape[1]).astype(np.float64)
        return unlike

    @cached_property
    def _products(self) -> npt.NDArray[np.float32] | None:
        """Of each frame's patch with each other one's, (n, n); None for so many that it would take long."""
        return self._patches @ self._patches.T if len(self._patches) <= MOST_PRODUCTS else None

    def _changes(self, before: FrameNumbers, after: FrameNumbers, step: int, quiet: float) -> Numbers:
        """Return what going from each lender to each other one costs, (2 before, 2 after).

        The first half of either stands for lenders that were reached by going forward, the second for those
        reached by going backward. ``step`` is by how many frames the footage moves on,
        ``quiet`` whether nobody speaks.
        """
        costs, spoken = self._costs, 1 - quiet
        moved = after[None].astype(np.int64) - before[:, None]
        still = moved == 0
        shots = self._person.study.shots
        goes_on = ~still & (shots[after] == shots[before][:, None])
        jump, reversal = (spoken * cost + quiet * QUIET_JUMP for cost in (costs.jump, costs.reversal))
        change = jump + costs.seam * self.unlike(before, after)
        change[still] = spoken * costs.still * self._share if step else 0.0
        both = np.empty((2, len(before), 2, len(after)))
        both[:] = change[:, None]
        for way, sign in enumerate((1, -1)):
            other = 1 - way
            natural = goes_on & (np.abs(sign * moved - step) <= (step > 1))
            np.copyto(both[way, :, way], 0, where=natural)
            np.copyto(both[other, :, way], reversal, where=natural)
            np.copyto(both[:, :, other], np.inf, where=natural)
            np.copyto(both[way, :, other], np.inf, where=still)
        return both.reshape(2 * len(before), 2 * len(after))


def _thinned(pool: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return stretches of a pool, spread evenly over it, of :data:`MOST_LENDERS` frames at most."""
    parts = -(-len(pool) // MOST_LENDERS)
    return pool if parts < 2 else pool[(np.arange(len(pool)) // _STRETCH) % parts == 0]
