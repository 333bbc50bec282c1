"""When somebody talks, told by the mouth alone: it is lively, and opens and shuts as often as in speech.

Both are asked of a few seconds at a time: who says a sentence within minutes of listening has mouths to lend.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.mouths.space import Pose
from app.mouths.types import Flags, Numbers

STRETCH_SECONDS: Final = 4.0
"""Length of the stretches of which it is asked."""

LIVELY_SECONDS: Final = 0.6
LEAST_LIVELY: Final = 0.010
"""Deviation of the opening, in distances of the inner eyes, from its own mean over that time, from which
somebody is seen talking. Of four people filmed with a shut mouth the liveliest stretches have 0.0046 to
0.0066, and 0.0095 at 15 frames a second, which leave more tremor; of 40 clips of people who talk the least
has 0.0121. By the range of the opening alone, heads that come nearer pass for talkers."""

LARGE, MOST_TREMBLING = 60.0, 1.7
"""Distance of the inner eyes, pixels, from which a mesh trembles no more for being small, and how much more
it may below: of those shut mouths, made as small as 9 to 43 pixels and encoded badly, 0.0154 is the most; of
9 clips of people of 12 to 50 pixels who talk, the least has 0.0167."""

STEADY_RATE: Final = 24.0
"""Frames a second from which a quarter of each neighbour's mesh is in every one, against its tremor. Where
they are farther apart it is less, by the square: at 10 a second a quarter would halve syllables."""

TURN_SHARE, LEAST_TURNS = 0.2, 4
"""Within a stretch the opening of somebody who talks turns so often, by that share of its range: a smile that
comes and goes turns twice. Of 40 clips of people who talk the one that turns the least does so five times."""

PARTED_SHARE, LEAST_APART, LEAST_PARTING = 0.1, 3.0, 1.8
"""Lips of somebody who talks part: in that share of the frames as far as that, by
:mod:`app.mouths.lips_apart`, or by :func:`app.mouths.looks.parting`. A man who makes faces with shut lips for
20 seconds has 2.7 and 1.5; of 47 clips of people who talk, down to 360 x 288 pixels, each has more in one."""

FEW_FRAMES: Final = 3 * LEAST_TURNS
"""So few frames do not show how often a mouth turns: a clip of a blink, or one of 3 frames a second."""


def steady_share(fps: float) -> float:
    """Return how much of each neighbour's mesh is in every one: see :data:`STEADY_RATE`."""
    return min(1.0, fps / STEADY_RATE) ** 2 / 4


def talking_stretches(
    openings: Numbers, usable: Flags, takes: npt.NDArray[np.int32], pose: Pose, fps: float
) -> Flags:
    """Tell which frames are in a stretch in which somebody talks; only ``usable`` ones count."""
    count = int(usable.sum())
    talking = np.zeros(count, np.bool_)
    if not count:
        return usable.copy()
    apart, own = (openings - _slow(openings, usable, takes, fps))[usable], openings[usable]
    least = _least_lively(float(np.median(1 / pose.scale[usable])), fps)
    length = min(round(STRETCH_SECONDS * fps), count)
    turns = LEAST_TURNS * min(1.0, length / (STRETCH_SECONDS * fps)) if length > FEW_FRAMES else 0.0
    length = min(max(length, FEW_FRAMES), count)
    last = count - length
    for start in (*range(0, last, max(1, length // 5)), last):
        part = slice(start, start + length)
        if apart[part].std() >= least and _turns(own[part]) >= turns:
            talking[part] = True
    result = np.zeros_like(usable)
    result[usable] = talking
    return result


def lips_part(apart: npt.NDArray[np.float32], parting: npt.NDArray[np.float32]) -> bool:
    """Tell whether lips are seen to part in some frames (n,): see :data:`PARTED_SHARE`."""
    if not len(apart):
        return False
    most = [float(np.quantile(seen, 1 - PARTED_SHARE)) for seen in (apart, parting)]
    return most[0] >= LEAST_APART or most[1] >= LEAST_PARTING


def range_of(openings: Numbers) -> float:
    """Return by how much some openings differ: from the 5th to the 95th percentile, 0 for none."""
    low, high = np.quantile(openings, [0.05, 0.95]) if len(openings) else (0.0, 0.0)
    return float(high - low)


def _least_lively(size: float, fps: float) -> float:
    """Return how lively the opening of a face of ``size`` pixels between the inner eyes is in talk, at least.

    As much tremor is allowed for as the neighbours leave of it.
    """
    share, usual = steady_share(fps), steady_share(STEADY_RATE)
    left = np.hypot(1 - 2 * share, share * np.sqrt(2)) / np.hypot(1 - 2 * usual, usual * np.sqrt(2))
    return LEAST_LIVELY * min(max(1.0, LARGE / size), MOST_TREMBLING) * float(left)


def _slow(openings: Numbers, usable: Flags, takes: npt.NDArray[np.int32], fps: float) -> Numbers:
    """Return the mean over :data:`LIVELY_SECONDS` around each frame, of usable ones of its take."""
    reach = max(1, round(LIVELY_SECONDS * fps / 2))
    frames = np.arange(len(takes))
    begins = np.flatnonzero(np.diff(takes, prepend=takes[0] - 1))
    take = np.searchsorted(begins, frames, side="right") - 1
    first = np.maximum(frames - reach, begins[take])
    stop = np.minimum(frames + reach + 1, np.append(begins[1:], len(takes))[take])
    sums, counts = (np.append(0, np.cumsum(numbers)) for numbers in (openings * usable, usable))
    slow: Numbers = (sums[stop] - sums[first]) / np.maximum(counts[stop] - counts[first], 1)
    return slow


def _turns(openings: Numbers) -> int:
    """Return how often openings go by :data:`TURN_SHARE` of their range the other way than before."""
    least = TURN_SHARE * range_of(openings)
    turns, direction = 0, 0
    high = low = float(openings[0])
    for opening in openings.tolist():
        high, low = max(high, opening), min(low, opening)
        if direction >= 0 and high - opening > least:
            turns, direction, low = turns + 1, -1, opening
        elif direction <= 0 and opening - low > least:
            turns, direction, high = turns + 1, 1, opening
    return turns
