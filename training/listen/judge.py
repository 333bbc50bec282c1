"""Judges an ear through the service's own class: does what it hears follow what is seen?"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequest
from app.media.sound import SPEECH_RATE, Sound, SpeechSamples
from app.mouths.ear import Ear, Openings
from training.cache import open_cache
from training.listen.bank import heard_whole
from training.listen.lags import correlation
from training.listen.settings import ListenSettings
from training.listen.stage import Progress, manners_of, videos_of
from training.listen.talks import FrameTimes, Talk, known_lags, pack_talks, video_talks
from training.listen.truth import openings_of
from training.pack import load_pack

LAGS: Final = np.arange(-0.12, 0.121, 0.02)
"""Seconds by which sound and picture are shifted for the best lag."""
_LEAST_FRAMES: Final = 10
_QUIETER: Final = 0.1


@dataclass(frozen=True)
class Score:
    """How well one set of clips is heard; correlations of the opening within each clip.

    ``pooled`` is that of all frames, each clip about its own mean; ``typical`` the median over clips, at the
    lag that is known of the file; ``best`` the same where each clip has its best lag; ``quieter`` is
    ``pooled`` with the sound 20 dB down; ``spread`` the deviation over the true one.
    """

    clips: int
    pooled: float
    typical: float
    people: float
    best: float
    quieter: float
    spread: float


def judged_talks(
    pack: Path | None, videos: Iterable[Path], runs: Path, settings: ListenSettings, progress: Progress
) -> list[Talk]:
    """Return the talks to judge on: the pack's held-out people, and videos at the lags known of them.

    Of a folder in which some people are held out by the recipe only those are taken. Raises InvalidRequest if
    there is neither, or the recipe holds out nobody of the pack.
    """
    folders = list(videos)
    if not pack and not folders:
        raise InvalidRequest("There is nobody to judge on: give --pack or --videos.")
    talks: list[Talk] = []
    if pack:
        opened = load_pack(pack)
        cache = open_cache(opened, runs / "cache", lambda k, of: progress("Decoding the pack", k, of))
        _, held = settings.held_out.split(cache.spans)
        own = pack_talks(opened, cache, held)
        if not own:
            raise InvalidRequest(
                f"The recipe holds out nobody who talks in {pack}: name some of its people in held_out "
                "before you train, or judge on --videos of others."
            )
        talks += own
    for folder in folders:
        paths = videos_of(folder)
        held_out = [path for path in paths if path.stem in settings.held_out.groups]
        lags = known_lags(folder)
        for talk in video_talks(
            held_out or paths, runs / "listen" / "measured", lambda k, of: progress("Measuring videos", k, of)
        ):
            talks.append(talk.shifted(lags.get(talk.name, 0.0)))
    return talks


def none_held_out(videos: Iterable[Path], settings: ListenSettings) -> list[Path]:
    """Return the folders of videos of which the recipe holds out nobody: the ear may know them."""
    groups = settings.held_out.groups
    return [folder for folder in videos if not any(path.stem in groups for path in videos_of(folder))]


def judged(
    ear: Ear, talks: Sequence[Talk], settings: ListenSettings, progress: Callable[[int, int], None]
) -> dict[str, Score]:
    """Return the score of every set of talks; raises InvalidRequest if nobody talks in any."""
    manners = manners_of(talks, settings)
    takes: dict[str, list[_Take]] = {}
    for done, talk in enumerate(talks, start=1):
        kept = talk.seen & heard_whole(talk)
        if talk.person in manners and kept.sum() >= _LEAST_FRAMES:
            truth = openings_of(talk.mouths, manners[talk.person])[kept]
            takes.setdefault(talk.set, []).append(_take(ear, talk, talk.times[kept], truth))
        progress(done, len(talks))
    if not takes:
        raise InvalidRequest(
            f"None of the {len(talks)} clips shows somebody who talks for {_LEAST_FRAMES} frames: "
            "judge on others."
        )
    return {name: _score(own) for name, own in takes.items()}


def as_table(scores: dict[str, Score]) -> str:
    """Return the scores as a table in Markdown."""
    names = ("clips", "pooled", "typical", "people", "best", "quieter", "spread")
    lines = ["| set | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, score in scores.items():
        values = [f"{getattr(score, key):.3f}" if key != "clips" else str(score.clips) for key in names]
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Take:
    person: str
    truth: Openings
    heard: list[Openings]
    """At each of LAGS."""
    quieter: Openings


def _take(ear: Ear, talk: Talk, times: FrameTimes, truth: Openings) -> _Take:
    every = _heard(ear, talk.samples, np.concatenate([times + lag for lag in LAGS]))
    quieter = _heard(ear, talk.samples * np.float32(_QUIETER), times)
    return _Take(talk.person, truth, np.split(every, len(LAGS)), quieter)


def _heard(ear: Ear, samples: SpeechSamples, times: FrameTimes) -> Openings:
    """Return what is heard at ``times`` of samples, in any order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech"
        samples.astype("<f4").tofile(path)
        seconds = len(samples) / SPEECH_RATE
        sound = Sound("", str(path), SPEECH_RATE, 1, "mono", len(samples), len(samples), seconds)
        return ear.hear(sound, times).opening


def _score(takes: list[_Take]) -> Score:
    zero = int(np.argmin(np.abs(LAGS)))
    truth = [take.truth for take in takes]
    heard = [take.heard[zero] for take in takes]
    people = {take.person for take in takes}
    return Score(
        clips=len(takes),
        pooled=_pooled(truth, heard),
        typical=median(correlation(*_double(a, b)) for a, b in zip(truth, heard, strict=True)),
        people=float(np.mean([_of_person(takes, one, zero) for one in people])),
        best=median(max(correlation(*_double(t.truth, at)) for at in t.heard) for t in takes),
        quieter=_pooled(truth, [take.quieter for take in takes]),
        spread=float(_about_means(heard).std() / _about_means(truth).std()),
    )


def _of_person(takes: list[_Take], person: str, lag: int) -> float:
    own = [take for take in takes if take.person == person]
    return _pooled([take.truth for take in own], [take.heard[lag] for take in own])


def _pooled(truth: Sequence[Openings], heard: Sequence[Openings]) -> float:
    return correlation(_about_means(truth), _about_means(heard))


def _about_means(series: Sequence[Openings]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.asarray(one - one.mean(), np.float64) for one in series])


def _double(one: Openings, other: Openings) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return one.astype(np.float64), other.astype(np.float64)
