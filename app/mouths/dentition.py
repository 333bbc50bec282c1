"""The teeth and the tongue of an average head, place by place across the mouth.

All lengths are millimetres; places go from the middle of the mouth along the eyes, to the person's left.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

Profile = npt.NDArray[np.float64]
"""float64 (k,): one number for each place across the mouth."""

STEP: Final = 0.05
_REACH: Final = 100
"""Millimetres from one such place to the next, and from the middle to the last."""

_UPPER_TEETH: Final = np.array([0.0, 8.3, 14.6, 20.4, 24.5])
_LOWER_TEETH: Final = np.array([0.0, 5.2, 11.0, 17.0, 22.0])
"""Edges of the teeth from the middle outward: incisors, canine, premolar. Widths of crowns (Ash, "Wheeler's
Dental Anatomy"), those at the side foreshortened by the arch."""


@dataclass(frozen=True)
class Dentition:
    """What depends on the place across a mouth alone: teeth, one beside the other, and the tongue."""

    places: Profile
    """Millimetres from the middle."""
    arch: Profile
    """By how much more of the upper teeth shows in the middle than at the sides, times what shows."""
    upper_edge: Profile
    lower_edge: Profile
    """How far below its line the edge of each tooth runs."""
    upper_shade: Profile
    lower_shade: Profile
    """How bright the teeth are, 0..1: darker at the sides, and between two of them."""
    no_upper: npt.NDArray[np.bool_]
    no_lower: npt.NDArray[np.bool_]
    """Where there are none."""
    breadth: Profile
    """How much of a tongue there is, 0..1."""


@cache
def dentition() -> Dentition:
    """Return the teeth that every mouth is drawn with."""
    last = round(_REACH / STEP)
    places = np.asarray(STEP * np.arange(-last, last + 1), np.float64)
    upper, upper_gap = _in_row(places, _UPPER_TEETH)
    lower, lower_gap = _in_row(places, _LOWER_TEETH)
    canine = 0.35 * np.exp(-np.square((np.abs(places) - 17.5) / 2.5))
    falling = np.clip(1 - 0.6 * np.square(places / 21), 0.12, 1)
    return Dentition(
        places=places,
        arch=1 - 0.25 * np.square(places / 22),
        upper_edge=canine - 0.55 * _rounded(upper),
        lower_edge=0.35 * _rounded(lower),
        upper_shade=falling * (1 - 0.22 * np.exp(-np.square(upper_gap / 0.4))),
        lower_shade=falling * 0.62 * (1 - 0.25 * np.exp(-np.square(lower_gap / 0.45))),
        no_upper=np.abs(places) >= _UPPER_TEETH[-1],
        no_lower=np.abs(places) >= _LOWER_TEETH[-2],
        breadth=np.exp(-np.square(places / 17)),
    )


def _in_row(across: Profile, edges: npt.NDArray[np.float64]) -> tuple[Profile, Profile]:
    """Return where in its tooth every place lies, 0..1, and how far from the gap to the next."""
    aside = np.abs(across)
    tooth = np.clip(np.searchsorted(edges, aside, side="right") - 1, 0, len(edges) - 2)
    inner, outer = edges[tooth], edges[tooth + 1]
    return (aside - inner) / (outer - inner), np.minimum(aside - inner, outer - aside)


def _rounded(place: Profile) -> Profile:
    """Return how far a tooth's edge is rounded off: 0 in its middle, 1 at its sides."""
    rounded: Profile = np.square(np.square(2 * place - 1))
    return rounded
