import dataclasses

import numpy as np
import pytest

from tests.support.packs import drawn_cache
from training.references import References
from training.settings import TrainSettings
from training.shapes import ShapeTrack, measure_shapes

GAPS = [0.0, 0.0, 0.02, 0.05, 0.08, 0.1, 0.03, 0.0, 0.06, 0.02, 0.07, 0.04]
CLIPS = np.arange(len(GAPS), dtype=np.int64) * 0


def drawn(near: float, rest: float, track: ShapeTrack | None = None, turn: float = 12.0) -> tuple[int, ...]:
    """Return the reference of every frame of one clip."""
    cache = drawn_cache([GAPS])
    settings = TrainSettings(
        near_references=near, rest_references=rest, near_apart=2, near_kept=1.0, near_turn=turn
    )
    references = References(list(cache.spans), track or measure_shapes(cache), settings)
    frames = np.arange(len(GAPS), dtype=np.int64)
    return tuple(references.draw(np.random.default_rng(0), frames, CLIPS).tolist())


def test_a_near_reference_has_the_most_like_mouth_that_is_not_a_neighbour() -> None:
    for frame, reference in enumerate(drawn(1.0, 0.0)):
        apart = [other for other in range(len(GAPS)) if abs(other - frame) >= 2]
        nearest = min(abs(GAPS[other] - GAPS[frame]) for other in apart)
        assert reference in apart
        assert abs(GAPS[reference] - GAPS[frame]) == pytest.approx(nearest)


def test_a_resting_reference_rests() -> None:
    assert {GAPS[reference] for reference in drawn(0.0, 1.0)} == {0.0}


def test_any_other_reference_may_be_any_frame_of_the_clip() -> None:
    assert len({GAPS[reference] for reference in drawn(0.0, 0.0)}) > 3


def test_a_head_that_is_turned_too_far_lends_nothing() -> None:
    track = measure_shapes(drawn_cache([GAPS]))
    turns = track.turns.copy()
    cos, sin = np.cos(0.5), np.sin(0.5)
    turns[6:] = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32) @ turns[6:]
    split = dataclasses.replace(track, turns=turns)
    for frame, reference in enumerate(drawn(1.0, 0.0, split)):
        assert (frame < 6) == (reference < 6)


def test_where_every_head_is_turned_too_far_the_least_turned_lends() -> None:
    track = measure_shapes(drawn_cache([GAPS]))
    angles = np.linspace(0, 3, len(GAPS))
    turned = [[[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]] for a in angles]
    spread = dataclasses.replace(track, turns=np.array(turned, np.float32))
    chosen = drawn(1.0, 0.0, spread, turn=1.0)
    assert all(abs(reference - frame) == 2 for frame, reference in enumerate(chosen))


def test_a_clip_in_which_no_mouth_rests_lends_its_least_open_one() -> None:
    track = dataclasses.replace(measure_shapes(drawn_cache([GAPS])), rest=np.zeros(len(GAPS), np.bool_))
    assert {GAPS[reference] for reference in drawn(0.0, 1.0, track)} == {0.0}
