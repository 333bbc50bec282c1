"""How much of each mouth of a render is changed, where a hidden stretch and a kept range come together."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from app.faces.types import runs_of
from app.mouths.meeting import meet
from app.rendering.options import RenderOptions
from app.rendering.timeline import MouthWeights, Timeline, lay_out
from app.rendering.weights import Weights
from tests.support.mouths import study_of, talk

FRAMES = 75


def weights(kept: range) -> list[float]:
    """Return the weights of a clip at 25 frames a second whose mouth is hidden from frame 50 on."""
    study = study_of(talk(FRAMES))
    lips = np.where(np.arange(FRAMES) < 50, 0, 1).astype(np.float32)
    person = meet(replace(study, covers=replace(study.covers, lips=lips)), 25.0)
    timeline = Timeline(FRAMES, Fraction(25), FRAMES, Fraction(25), kept=(kept,))
    whole: list[float] = Weights(person, timeline).of(range(FRAMES)).tolist()
    apart = [Weights(person, timeline).of([index])[0] for index in range(FRAMES)]
    assert whole == apart
    return whole


@pytest.mark.parametrize(("stop", "changed"), [(30, True), (45, False)])
def test_between_a_kept_range_and_a_hidden_stretch_a_mouth_is_changed_wholly_or_not_at_all(
    stop: int, changed: bool
) -> None:
    between = weights(range(10, stop))[stop:50]
    assert (max(between) == 1) == changed
    assert any(between) == changed


def test_what_fades_before_a_hidden_stretch_still_fades() -> None:
    assert 0 < weights(range(10, 30))[48] < 1


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"keep": "0.2-0.4,0.48-1"}, (range(5, 25),)),
        ({"keep": "0.2-0.4,0.64-1"}, (range(5, 25),)),
        ({"keep": "0.2-0.4,0.68-1"}, (range(5, 10), range(17, 25))),
        ({"keep": "0.08-1"}, (range(25),)),
        ({"keep": "0.12-1"}, (range(25),)),
        ({"keep": "0.16-1"}, (range(4, 25),)),
        ({"keep": "1-1.88"}, (range(25, 50),)),
        ({"keep": "1-1.84"}, (range(25, 46),)),
        ({"keep": "0.2-0.4", "rest": "own", "last_word": 0.6}, (range(5, 50),)),
        ({"keep": "0.04-0.08,0.12-0.16,1-1.2"}, (range(4), range(25, 30))),
        ({"keep": "0.2-0.4,0.48-1", "fps": Fraction(60)}, (range(12, 60),)),
        ({"keep": "0.2-0.4,0.48-1", "fps": Fraction(4)}, (range(4),)),
    ],
)
def test_no_mouth_is_changed_in_a_gap_that_is_too_short_to_change_it_wholly(
    options: dict[str, Any], kept: tuple[range, ...]
) -> None:
    """Two mouths would be seen at once in all of it."""
    fps = options.pop("fps", Fraction(25))
    last_word = options.pop("last_word", 0.0)
    timeline = lay_out(RenderOptions(fps=fps, **options), FRAMES, Fraction(25), 2.0, last_word)
    weights = Weights(meet(study_of(talk(FRAMES)), 25.0), timeline).of(range(timeline.frame_count))
    assert tuple(range(*run) for run in runs_of(weights == 0)) == kept


def test_slow_motion_is_looked_at_once_and_not_anew_for_each_of_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0
    each = Weights._each

    def count(weights: Weights, indices: Sequence[int]) -> MouthWeights:
        nonlocal looked_at
        looked_at += len(indices)
        return each(weights, indices)

    study = study_of(talk(FRAMES))
    lips = np.where(np.abs(np.arange(FRAMES) - 40) < 4, 1, 0).astype(np.float32)
    person = meet(replace(study, covers=replace(study.covers, lips=lips)), 25.0)
    timeline = lay_out(RenderOptions(loop="stretch"), FRAMES, Fraction(25), 600.0, 0.0)
    monkeypatch.setattr(Weights, "_each", count)
    weights = Weights(person, timeline).of(range(timeline.frame_count))
    assert ((weights > 0) & (weights < 1)).sum() > 1000
    assert looked_at == timeline.frame_count


@pytest.mark.parametrize("seed", range(20))
def test_what_is_partly_changed_is_decided_by_what_is_next_to_it_however_it_is_looked_at(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 200))
    values = np.repeat(rng.choice([0, 0.3, 0.7, 1], count, p=[0.1, 0.4, 0.4, 0.1]), rng.integers(1, 5))
    count = len(values)
    monkeypatch.setattr(Weights, "_each", lambda _, indices: values[list(indices)])

    def decided(index: int, step: int) -> bool:
        while 0 <= index < count:
            if values[index] in (0, 1):
                return bool(values[index])
            index += step
        return False

    expected = [value if decided(at, -1) or decided(at, 1) else 0 for at, value in enumerate(values.tolist())]
    person = meet(study_of(talk(FRAMES)), 25.0)
    weights = Weights(person, Timeline(count, Fraction(25), FRAMES, Fraction(25)))
    assert weights.of(range(count)).tolist() == expected
    for part in (1, 7):
        pieces = [range(first, min(first + part, count)) for first in range(0, count, part)]
        assert np.concatenate([weights.of(piece) for piece in pieces]).tolist() == expected
