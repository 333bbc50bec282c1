"""How much of each mouth of a render is changed, where a hidden stretch and a kept range come together."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from app.mouths.meeting import meet
from app.rendering.timeline import Timeline
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
