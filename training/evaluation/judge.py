"""The evaluation: the service renders both halves of every clip; each render is compared with the truth."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from app.errors import InvalidRequest, MouthpieceError, NoFace
from training.evaluation.halves import Halves, Sound, cut
from training.evaluation.mouths import Mouths, read_mouths
from training.evaluation.scores import Curve, Scores, at_lag, correlations, score
from training.evaluation.service import Service
from training.evaluation.sheets import write_sheet, write_strip
from training.evaluation.sounds import WORDLESS

QUIETER: Final = 0.1
"""20 dB."""
_SHUT_RANK: Final = 5
"""A mouth counts as shut as in this percentile of the truth: a mesh sees a gap between lips that touch."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One half: a person's muted picture that says their other half's words."""

    name: str
    scores: Scores
    wordless: dict[str, float]
    """Mean opening above the shut mouth in sounds without words, over that in the true speech."""
    quieter: float
    """What ``follows`` loses if the same words are 20 dB quieter; nan if it was not tried."""
    sheet: Path
    strip: Path

    def numbers(self) -> dict[str, float]:
        """Return all that was measured, by name."""
        scores = {name: float(value) for name, value in asdict(self.scores).items()}
        return {**scores, **self.wordless, "quieter_loses": self.quieter}


@dataclass(frozen=True)
class Verdict:
    """All rows, of which there are some, and the clips that could not be judged with the reason."""

    rows: list[Row]
    left_out: dict[str, str]

    def medians(self) -> dict[str, float]:
        """Return the median of every number over the rows in which it could be told."""
        columns = {
            name: np.array([row.numbers()[name] for row in self.rows]) for name in self.rows[0].numbers()
        }
        known = {name: column[np.isfinite(column)] for name, column in columns.items()}
        return {
            name: float(np.median(column)) if len(column) else float("nan") for name, column in known.items()
        }


def judge(
    service: Service,
    clips: list[Path],
    output: Path,
    *,
    sounds: bool = True,
    progress: Progress | None = None,
) -> Verdict:
    """Judge on ``clips``; renders, truths, sheets and strips stay in ``output``.

    Without ``sounds``, nothing is rendered but the words: five times as quick. Raises InvalidRequest if two
    clips have one name, by which what is written of them is called, or none can be judged.
    """
    stems = Counter(clip.stem for clip in clips)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise InvalidRequest(f"Two clips are named {twice[0]!r}: judge them in runs of their own.")
    output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for done, clip in enumerate(clips, start=1):
        try:
            rows += [*_judged(service, f"clip-{done}", cut(clip, output), output, sounds)]
        except MouthpieceError as error:
            left_out[clip.name] = error.detail
        if progress:
            progress(done, len(clips))
    if not rows:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3])
        raise InvalidRequest(f"None of the {len(clips)} clips can be judged ({reasons}).")
    return Verdict(rows, left_out)


def _judged(service: Service, person: str, halves: Halves, output: Path, sounds: bool) -> Iterator[Row]:
    """Yield a row for each half; ``person`` begins the ids of the avatars, which no other clip has."""
    for index, half in enumerate(halves.parts):
        other = halves.parts[1 - index]
        name = f"{halves.name}-{index}"
        avatar = f"{person}-{index}"
        service.make_avatar(avatar, half.picture)
        render = service.speak(avatar, other.sound, output / f"{name}-render.mp4")
        truth = read_mouths(other.picture)
        made = read_mouths(render, limit=len(truth.frames), canon=truth.canon)
        early = halves.early * float(halves.fps)
        scores = score(made, truth, early)
        speak = _Speaker(service, avatar, output / name, truth)
        count = min(len(made.frames), len(truth.frames))
        yield Row(
            name=name,
            scores=scores,
            wordless=_wordless(speak, truth, len(other.sound)) if sounds else {},
            quieter=scores.follows - _follows(speak(QUIETER * other.sound), truth, early)
            if sounds
            else np.nan,
            sheet=write_sheet(output / f"{name}-sheet.png", render, other.picture, count),
            strip=write_strip(output / f"{name}-strip.png", render, other.picture, count),
        )


@dataclass(frozen=True)
class _Speaker:
    """One avatar that says sounds, of which only the apertures are kept."""

    service: Service
    avatar: str
    place: Path
    truth: Mouths

    def __call__(self, sound: Sound) -> Curve:
        result = self.place.with_name(f"{self.place.name}-tried.mp4")
        self.service.speak(self.avatar, sound, result)
        try:
            return read_mouths(result, limit=len(self.truth.frames), canon=self.truth.canon).apertures
        except NoFace:
            return np.full(len(self.truth.frames), np.nan)
        finally:
            result.unlink()


def _wordless(speak: _Speaker, truth: Mouths, samples: int) -> dict[str, float]:
    shut = float(np.nanpercentile(truth.apertures, _SHUT_RANK))
    spoken = float(np.nanmean(truth.apertures)) - shut
    return {
        name: float(np.nanmean(speak(make(samples / 16000))) - shut) / spoken
        for name, make in WORDLESS.items()
    }


def _follows(made: Curve, truth: Mouths, early: float) -> float:
    count = min(len(made), len(truth.frames))
    true = truth.apertures[:count]
    both = np.isfinite(made[:count]) & np.isfinite(true)
    return at_lag(correlations(made[:count][both], true[both]), early) if both.any() else float("nan")
