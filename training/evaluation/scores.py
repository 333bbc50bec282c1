"""Scores of a render against the truth: the same person saying the same words in other footage."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequest
from app.faces.types import runs_of
from training.evaluation.mouths import MouthFacts, Mouths

Curve = npt.NDArray[np.float64]
"""float64 (n,): a number a frame."""

MOST_LAG: Final = 6
"""Frames within which a better lag is looked for."""
LEAST_FRAMES: Final = 20
_STILL: Final = 0.25
"""A step of less than this share of the truth's median step is a freeze."""
_POP: Final = 97
_FEW_TEETH: Final = 0.02
_NO_POWER: Final = 1e-20
"""A mouth that stands still has a deviation of nothing but rounding."""


@dataclass(frozen=True)
class Scores:
    """One render beside its truth. Ratios are the render's over the truth's: 1 is right."""

    frames: int
    """That show a face in both."""
    follows: float
    """Correlation of the apertures at the lag that the truth's own file has between picture and sound."""
    best: float
    """At the best lag of up to 6 frames."""
    lag: int
    """That lag: frames by which the render comes late."""
    spread: float
    """Deviation of the aperture."""
    sharpness: float
    """Detail about the mouth, medians."""
    teeth: float
    """Share of bright colourless pixels in open mouths, means."""
    dark: float
    """Luma inside of open mouths, means."""
    lip_color: float
    """Distance in colour (Delta E, Lab, against the skin) from the truth's median over the truth's own."""
    lip_area: float
    """Medians: lips that vanish have less than 0.7."""
    lip_area_least: float
    """10th percentiles."""
    jitter: float
    """Mean difference of successive steadied frames."""
    pop: float
    """Their 97th percentile."""
    freeze: int
    """Longest run of frames in which hardly anything moves."""
    freeze_true: int


def score(render: Mouths, truth: Mouths, early: float = 0.0) -> Scores:
    """Compare a render with its truth, both steadied by the same canon, frame by frame.

    ``early`` is by how many frames the truth's picture comes before its own sound. Raises InvalidRequest if
    fewer than :data:`LEAST_FRAMES` frames show a face in both.
    """
    pairs = list(zip(render.frames, truth.frames, strict=False))
    both = [(made, true) for made, true in pairs if made is not None and true is not None]
    if len(both) < LEAST_FRAMES:
        raise InvalidRequest(
            f"Only {len(both)} frames show a face in render and truth; {LEAST_FRAMES} are needed to judge."
        )
    made, true = [pair[0] for pair in both], [pair[1] for pair in both]
    lags = correlations(_curve(made, "aperture"), _curve(true, "aperture"))
    best = max(lags, key=lambda lag: lags[lag])
    steps_made, steps_true = _steps([pair[0] for pair in pairs]), _steps([pair[1] for pair in pairs])
    still = _STILL * float(np.median(steps_true))
    return Scores(
        frames=len(both),
        follows=at_lag(lags, early),
        best=lags[best],
        lag=best,
        spread=_ratio(np.nanstd, made, true, "aperture"),
        sharpness=_ratio(np.nanmedian, made, true, "sharpness"),
        teeth=_mean(made, "teeth") / max(_mean(true, "teeth"), _FEW_TEETH),
        dark=_mean(made, "dark") / _mean(true, "dark"),
        lip_color=_lip_color(made, true),
        lip_area=_ratio(np.nanmedian, made, true, "area"),
        lip_area_least=_percentile(made, "area", 10) / _percentile(true, "area", 10),
        jitter=float(steps_made.mean() / steps_true.mean()),
        pop=float(np.percentile(steps_made, _POP) / np.percentile(steps_true, _POP)),
        freeze=longest_run(steps_made < still),
        freeze_true=longest_run(steps_true < still),
    )


def correlations(made: Curve, true: Curve) -> dict[int, float]:
    """Return the correlation of two curves for each lag of ``made`` behind ``true``, in frames."""
    result = {}
    for lag in range(-MOST_LAG, MOST_LAG + 1):
        count = len(made) - abs(lag)
        a, b = made[max(0, lag) :][:count], true[max(0, -lag) :][:count]
        a, b = a - np.nanmean(a), b - np.nanmean(b)
        power = float(np.nansum(a * a) * np.nansum(b * b))
        result[lag] = float(np.nansum(a * b) / np.sqrt(power)) if power > _NO_POWER else 0.0
    return result


def at_lag(lags: dict[int, float], frames: float) -> float:
    """Return the correlation at a lag between whole frames."""
    known = sorted(lags)
    return float(np.interp(frames, known, [lags[lag] for lag in known]))


def longest_run(flags: npt.NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true flags."""
    return max((stop - start for start, stop in runs_of(flags)), default=0)


def _steps(frames: list[MouthFacts | None]) -> Curve:
    """Return the mean difference of each two successive frames with a face."""
    return np.array(
        [
            np.abs(after.steady.astype(np.int16) - before.steady).mean()
            for before, after in pairwise(frames)
            if before is not None and after is not None
        ]
    )


def _lip_color(made: list[MouthFacts], true: list[MouthFacts]) -> float:
    ours = np.array([facts.lips - facts.skin for facts in made])
    theirs = np.array([facts.lips - facts.skin for facts in true])
    usual = np.nanmedian(theirs, axis=0)
    far, own = (float(np.nanmean(np.linalg.norm(colors - usual, axis=1))) for colors in (ours, theirs))
    return far / own if own > 0 else float("nan")


def _curve(frames: list[MouthFacts], name: str) -> Curve:
    return np.array([getattr(facts, name) for facts in frames], np.float64)


def _ratio(summary: object, made: list[MouthFacts], true: list[MouthFacts], name: str) -> float:
    assert callable(summary)
    whole = float(summary(_curve(true, name)))
    return float(summary(_curve(made, name))) / whole if whole else float("nan")


def _mean(frames: list[MouthFacts], name: str) -> float:
    """Return the mean over the frames in which a thing is seen; nan if there is none."""
    values = _curve(frames, name)
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if len(seen) else float("nan")


def _percentile(frames: list[MouthFacts], name: str, rank: float) -> float:
    return float(np.nanpercentile(_curve(frames, name), rank))
