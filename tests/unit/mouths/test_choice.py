"""Which frame lends its mouth; looks and places are made up, so that costs can be told apart."""

import itertools
import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import JobCanceled
from app.mouths import choice
from app.mouths.choice import (
    BENT_WELL,
    LEAST_GAP,
    MOST_CANDIDATES,
    MOST_GROWN,
    MOST_LENDERS,
    RATE,
    STRETCH,
    Chooser,
    Costs,
    FrameNumbers,
)
from app.mouths.lending import FARTHEST_LIGHT, FARTHEST_TURN, FARTHEST_VEIL, Places
from app.mouths.looks import PATCH_SIZE
from app.mouths.meeting import meet
from app.mouths.person import Person
from app.mouths.space import OPENING, MouthShapes
from tests.support.mouths import person_of, talk

COUNT = 60


def shapes(*first: float) -> MouthShapes:
    """Return wanted shapes with these first components."""
    wanted = np.zeros((len(first), 8), np.float32)
    wanted[:, 0] = first
    return wanted


def frames(*numbers: int) -> FrameNumbers:
    return np.array(numbers, np.int32)


@cache
def talker() -> Person:
    return person_of(talk(COUNT))


def chosen(person: Person, wanted: MouthShapes, shown: FrameNumbers, **costs: float) -> list[int]:
    result = Chooser(person, Costs(**costs)).choose(wanted, shown)
    assert result.dtype == np.int32
    return list(map(int, result))


def test_the_lender_has_the_wanted_shape() -> None:
    person = talker()
    for wanted in (0.0, 0.7, 1.5, 2.4):
        (lender,) = chosen(person, shapes(wanted), frames(30))
        assert person.shapes[lender, 0] == pytest.approx(wanted, abs=0.3)


def test_nothing_is_lent_across_takes() -> None:
    takes = np.repeat([0, 1], COUNT // 2)
    still = np.concatenate([talk(COUNT // 2), np.zeros((COUNT // 2, 1))])
    person = person_of(still, takes=takes)
    lenders = chosen(person, shapes(*[2.5] * COUNT), np.arange(COUNT, dtype=np.int32))
    assert takes[lenders].tolist() == takes.tolist()


def test_nothing_is_lent_to_a_head_that_is_turned_far() -> None:
    turns = np.where(np.arange(COUNT) < COUNT // 2, 0.0, FARTHEST_TURN + 20)
    wanted = np.where(np.arange(COUNT)[:, None] < COUNT // 2 - 4, talk(COUNT), 0)
    person = person_of(wanted, turns=turns)
    lenders = chosen(person, shapes(*[2.5] * COUNT), np.arange(COUNT, dtype=np.int32))
    assert np.abs(person.turns[lenders, 0] - person.turns[:, 0]).max() <= FARTHEST_TURN
    assert person.shapes[lenders[: COUNT // 2 - 2], 0] == pytest.approx(2.5, abs=0.3)
    assert person.shapes[lenders[COUNT // 2 + 2 :], 0].max() < 1.5


def test_a_mouth_that_would_be_stretched_costs_more() -> None:
    person, wanted, shown = talker(), shapes(3.5), frames(30)
    opening = float(wanted[0, :6] @ OPENING)
    (with_it,), (without,) = (
        Chooser(person, Costs(stretch=cost)).local_costs(wanted, shown) for cost in (2.0, 0.0)
    )
    extra = dict(zip(*with_it, strict=True))
    for lender, cost in zip(*without, strict=True):
        lack = max(opening - person.openings[lender], 0.0)
        gap = max(person.openings[lender] + person.ajar[lender], 0.0) + LEAST_GAP
        bent = lack * min((gap + lack) / gap, MOST_GROWN)
        more = RATE / person.fps * 2.0 * max(bent - BENT_WELL, 0.0) ** 2 / STRETCH**2
        assert extra.get(lender, cost + more) == pytest.approx(cost + more)
    assert max(with_it[1]) > max(without[1]) + 1


def test_of_two_mouths_that_would_be_stretched_clenched_teeth_are_not_lent() -> None:
    study = person_of(np.tile(talk(30), (2, 1))).study
    teeth = study.teeth.copy()
    teeth[30:] = 2.0
    person = meet(replace(study, teeth=teeth), 25.0)
    wanted = shapes(*[6.0] * 60)
    wanted[:, 6:] = person.shapes[:, 6:].mean(axis=0)
    lenders = chosen(person, wanted, np.arange(60, dtype=np.int32))
    assert max(lenders) < 30
    assert max(chosen(person, wanted, np.arange(60, dtype=np.int32), stretch=0.0)) >= 30


def test_nothing_is_lent_between_lights_that_cannot_be_brought_together() -> None:
    dark = 140 * np.exp(-FARTHEST_LIGHT - 0.1)
    brightness = np.where(np.arange(COUNT) < COUNT // 2, 140.0, dark)
    person = person_of(talk(COUNT), brightness=brightness)
    lenders = chosen(person, shapes(*[2.5] * COUNT), np.arange(COUNT, dtype=np.int32))
    assert (brightness[lenders] == brightness).all()


def test_the_nearer_head_lends_where_shapes_are_equal() -> None:
    person = person_of(np.tile(talk(18), (2, 1)), turns=np.repeat([0.0, 8.0], 18))
    for shown in (5, 25):
        (lender,) = chosen(person, shapes(1.5), frames(shown))
        assert lender // 18 == shown // 18


def test_a_mouth_is_lent_to_a_head_that_is_as_sharp() -> None:
    """A part of the footage is blurred, as by motion."""
    person = person_of(np.tile(talk(20), (3, 1)), sharpness=np.repeat([0.0, -0.25, 0.0], 20))
    sharp, wanted = person.study.sharpness, shapes(*np.tile(talk(20)[:, 0], 3))
    apart = [
        np.abs(sharp[chosen(person, wanted, frames(*range(COUNT)), sharp=cost)] - sharp)
        for cost in (Costs().sharp, 0.0)
    ]
    assert apart[0].mean() < 0.05
    assert apart[0].mean() < apart[1].mean()


def test_a_mouth_is_lent_to_a_head_of_the_same_surroundings() -> None:
    """Beside the mouth of a part of the footage stands a microphone."""
    beside = np.repeat([False, True, False], 20)
    looks = np.full((COUNT, PATCH_SIZE[1], PATCH_SIZE[0], 3), 120, np.uint8)
    looks[beside, 4:11, 21:] = 20
    person, wanted = person_of(np.tile(talk(20), (3, 1)), patches=looks), shapes(*np.tile(talk(20)[:, 0], 3))
    lenders, careless = (
        chosen(person, wanted, frames(*range(COUNT)), around=cost) for cost in (Costs().around, 0.0)
    )
    assert (beside[lenders] == beside).mean() > 0.9
    assert (beside[careless] == beside).mean() < (beside[lenders] == beside).mean()


def test_a_smaller_head_lends_to_a_larger_one_less_gladly_than_the_other_way_round() -> None:
    person = person_of(np.tile(talk(18), (2, 1)), sizes=np.repeat([1.0, 0.5], 18))
    costs = [
        dict(
            zip(*Chooser(person, Costs(near=0), RATE).local_costs(shapes(1.5), frames(shown))[0], strict=True)
        )
        for shown in (5, 25)
    ]
    for lender in range(20, 36):
        assert costs[0][lender] - costs[1][lender] == pytest.approx(Costs().small * np.log(2) ** 2, rel=1e-3)


def test_a_frame_to_which_nobody_may_lend_serves_itself() -> None:
    brightness = np.full(COUNT, 120.0)
    brightness[10] = 60.0
    red = np.ones(COUNT)
    red[10] = 0.1
    person = person_of(talk(COUNT), brightness=brightness, redness=red)
    assert not person.usable[10]
    assert chosen(person, shapes(0, 0), frames(10, 11))[0] == 10


def test_frames_that_follow_each_other_are_lent_in_a_row() -> None:
    """Equal mouths for 20 frames: only what a change, a freeze and a step cost tells them apart."""
    person = person_of(np.zeros((COUNT, 1)))
    for costs in ({}, {"still": 0.3}):
        lenders = chosen(person, shapes(*[0.0] * 20), frames(*[20] * 20), **costs)
        assert (np.abs(np.diff(lenders)) == 1).all()
    lenders = chosen(person, shapes(*[0.0] * 20), frames(*[20] * 20), still=-0.1)
    assert (np.diff(lenders) == 0).all()


def test_two_neighbours_are_not_lent_in_turn() -> None:
    """Only frames 30 and 31 have the shape: going to and fro between them costs nothing but the turns."""
    wanted = np.zeros((COUNT, 1))
    wanted[30:32] = 2.0
    lenders = chosen(person_of(wanted), shapes(*[2.0] * 20), frames(*[5] * 20))
    assert set(lenders) == {30, 31}
    assert np.count_nonzero(np.diff(lenders)) <= 1


@pytest.mark.parametrize("fps", [12.5, 100.0])
def test_lenders_change_as_often_whatever_the_rate_of_the_result(fps: float) -> None:
    """The same words and the same footage, seen more or less often a second."""

    def changes(rate: float) -> float:
        seconds = np.arange(0, 20, 1 / rate)
        said = shapes(*(1.2 + np.sin(7 * seconds) + 0.4 * np.sin(17 * seconds + 1)))
        footage = 1.5 * (1 + np.sin(5.3 * seconds + 0.6 * np.sin(1.7 * seconds)))[:, None]
        lenders = chosen(person_of(footage, fps=rate), said, np.arange(len(seconds), dtype=np.int32))
        return np.count_nonzero(np.abs(np.diff(lenders)) > 1) / 20

    assert changes(fps) == pytest.approx(changes(25.0), rel=0.5)


@pytest.mark.parametrize(("fps", "rate"), [(60.0, 25.0), (120.0, 30.0), (12.0, 24.0)])
def test_a_lender_moves_at_its_own_speed(fps: float, rate: float) -> None:
    """Equal mouths: only what a change, a freeze and a step cost tells them apart."""
    person, moments = person_of(np.zeros((200, 1)), fps=fps), np.arange(30)
    steps = np.diff((moments * fps / rate).astype(int))
    lenders = Chooser(person, rate=rate).choose(shapes(*[0.0] * 30), np.full(30, 100, np.int32), steps=steps)
    moved = np.abs(np.diff(lenders))
    assert moved.sum() == pytest.approx(30 * fps / rate, rel=0.2)
    assert (np.abs(moved - steps) <= (steps > 1)).all()


@pytest.mark.parametrize("rate", [5.0, 12.0, 25.0])
def test_all_frames_of_ordinary_footage_may_lend_to_a_slow_result(rate: float) -> None:
    """At 60 a second neighbours are no choice; at 25 they are, however few frames are made."""
    chooser = Chooser(person_of(talk(COUNT)), rate=rate)
    ((candidates, _),) = chooser.local_costs(shapes(1.0), frames(30))
    assert {int(candidate) % 5 for candidate in candidates} == set(range(5))


def test_noise_in_a_channel_that_is_nearly_black_is_no_other_light() -> None:
    study = person_of(talk(COUNT)).study
    noise = np.random.default_rng(0).uniform(-2, 2, (COUNT, 2))
    skin = np.column_stack([3 + noise[:, 0], 8 + noise[:, 1], np.full(COUNT, 120.0)]).astype(np.float32)
    person = meet(replace(study, skin=skin), 25.0)
    lenders = chosen(person, shapes(*[2.5] * COUNT), np.arange(COUNT, dtype=np.int32))
    assert person.shapes[lenders, 0] == pytest.approx(2.5, abs=0.6)


def test_a_change_is_made_between_mouths_that_look_alike() -> None:
    """Only frame 10 can begin; 38 and 48 can follow, of which one looks as 10 does."""
    wanted = np.zeros((COUNT, 2))
    wanted[8:13, 1], wanted[36:41, 0], wanted[46:51, 0] = 3.0, 3.0, 3.0
    path = shapes(0, 3)
    path[0, 1] = 3.0
    for alike, other in ((38, 48), (48, 38)):
        looks = np.zeros((COUNT, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8)
        looks[other - 5 : other + 5] = 100
        first, second = chosen(person_of(wanted, patches=looks), path, frames(5, 5))
        assert abs(first - 10) <= 1
        assert abs(second - alike) <= 1


def test_what_follows_beyond_a_cut_within_a_take_is_a_change_like_any_other() -> None:
    """Frame 29 can begin; 30 follows it, but looks otherwise, and 47 can follow as well."""
    wanted = np.zeros((COUNT, 2))
    wanted[25:30, 1], wanted[30:35, 0], wanted[45:50, 0] = 3.0, 3.0, 3.0
    path = shapes(0, 3)
    path[0, 1] = 3.0
    looks = np.zeros((COUNT, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8)
    looks[30:35] = 100
    for cuts, after in (((), (30,)), ((30,), range(45, 50))):
        first, second = chosen(person_of(wanted, patches=looks, cuts=cuts), path, frames(27, 27), jump=3.0)
        assert 25 <= first < 30
        assert second in after


@pytest.mark.parametrize("compared_at_once", [0, 1000])
def test_mouths_are_as_unlike_as_their_pictures(
    monkeypatch: pytest.MonkeyPatch, compared_at_once: int
) -> None:
    monkeypatch.setattr(choice, "MOST_PRODUCTS", compared_at_once)
    looks = np.zeros((3, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8)
    looks[1], looks[2] = 30, 255
    unlike = Chooser(person_of(np.zeros((3, 1)), patches=looks)).unlike(frames(0, 1), frames(0, 1, 2))
    assert unlike == pytest.approx(np.array([[0, 30, 255], [30, 0, 225]]), abs=0.5)


def test_lenders_that_are_known_are_kept() -> None:
    lenders = Chooser(talker()).choose(shapes(0, 1, 2), frames(1, 2, 3), pinned=(40, None))
    assert lenders[0] == 40
    assert Chooser(talker()).choose(shapes(0, 1, 2), frames(1, 2, 3), pinned=(40, 50))[[0, 2]].tolist() == [
        40,
        50,
    ]
    assert Chooser(talker()).choose(shapes(0), frames(1), pinned=(7, 7)).tolist() == [7]


def test_while_nobody_speaks_the_lender_stays_and_shows_no_teeth() -> None:
    """Equal mouths but for how far lips are seen to part, in two ways, of all but a few."""
    parting, apart = np.full((2, COUNT), 4.0)
    parting[18:25] = apart[20:27] = 1.0
    study = person_of(np.zeros((COUNT, 1)), apart=apart).study
    person = meet(replace(study, parting=parting.astype(np.float32)), 25.0)
    person = replace(person, rest=np.isin(np.arange(COUNT), range(15, 30)))
    shown = np.arange(COUNT, dtype=np.int32)
    quiet = Chooser(person).choose(shapes(*[0.0] * COUNT), shown, speech=0.0)
    assert set(quiet) <= set(range(20, 25))
    assert len(set(quiet)) == 1
    spoken = Chooser(person).choose(shapes(*[0.0] * COUNT), shown, speech=1.0)
    assert len(set(spoken)) > 5


@settings(max_examples=25)
@given(
    walk=st.lists(st.floats(-1, 3), min_size=1, max_size=4),
    grays=st.lists(st.integers(0, 60), min_size=5, max_size=5),
)
def test_no_path_is_cheaper_than_the_chosen_one(walk: list[float], grays: list[int]) -> None:
    looks = np.broadcast_to(
        np.array(grays, np.uint8)[:, None, None, None], (5, PATCH_SIZE[1], PATCH_SIZE[0], 3)
    )
    person = person_of(np.array([[0.0], [0.5], [2.0], [1.0], [0.0]]), patches=looks)
    chooser, costs = Chooser(person), Costs()
    local = chooser.local_costs(shapes(*walk), frames(*[0] * len(walk)))

    def cost_of(path: tuple[int, ...]) -> float:
        total = sum(
            cost[candidates.tolist().index(one)] for one, (candidates, cost) in zip(path, local, strict=True)
        )
        goes = 0
        for one, other in itertools.pairwise(path):
            if one == other:
                total += costs.still * RATE / person.fps
            elif abs(one - other) > 1:
                total += costs.jump + costs.seam * abs(grays[one] - grays[other])
                goes = 0
            else:
                total += costs.reversal * (goes == one - other)
                goes = other - one
        return float(total)

    path = tuple(chooser.choose(shapes(*walk), frames(*[0] * len(walk))).tolist())
    least = min(cost_of(other) for other in itertools.product(range(5), repeat=len(walk)))
    assert cost_of(path) == pytest.approx(least, abs=1e-3)


def test_ten_minutes_of_footage_are_chosen_from_in_bounded_memory() -> None:
    """A table of all frames against all would take a gigabyte."""
    count = 15_000
    person = person_of(talk(count, every=9.3))
    chooser = Chooser(person)
    shown = np.arange(0, count, 250, dtype=np.int32)
    tracemalloc.start()
    lenders = chooser.choose(shapes(*([0.5, 2.0, 1.0] * 20)), shown)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20
    assert person.shapes[lenders[1::3], 0] == pytest.approx(2.0, abs=0.3)
    everywhere = shapes(*np.random.default_rng(0).uniform(0, 2.5, 400))
    local = chooser.local_costs(everywhere, np.arange(0, count, 37, dtype=np.int32)[:400])
    lent = np.unique(np.concatenate([candidates for candidates, _ in local]))
    assert MOST_LENDERS / 3 < len(lent) <= MOST_LENDERS
    assert (np.diff(lent) == 1).mean() > 0.5
    assert all(len(candidates) <= MOST_CANDIDATES for candidates, _ in local)


def test_nothing_is_lent_in_light_of_another_colour() -> None:
    study = person_of(talk(40)).study
    skin = study.skin.copy()
    skin[20:, 0] *= 1.8
    person = meet(replace(study, skin=skin), 25.0)
    lenders = Chooser(person).choose(np.zeros((40, 8), np.float32), np.arange(40, dtype=np.int32))
    assert (lenders[:20] < 20).all()
    assert (lenders[20:] >= 20).all()


def test_nothing_is_lent_through_a_veil_of_white() -> None:
    """A fade to white, up to 0.9: skin grows bright and pale at once, each within what light may differ."""
    study = person_of(talk(COUNT)).study
    skin, veil = study.skin.copy(), np.linspace(0, 0.9, COUNT)[:, None]
    skin[:] = (1 - veil) * np.array([137, 166, 234]) + veil * 255
    person = meet(replace(study, skin=skin), 25.0)
    lenders = chosen(person, shapes(*[2.5] * COUNT), np.arange(COUNT, dtype=np.int32))
    colourful = np.ptp(skin, axis=1) / skin.mean(axis=1)
    apart = np.abs(np.log((colourful[lenders] + 0.1) / (colourful + 0.1)))
    assert apart.max() <= FARTHEST_VEIL
    assert len(set(lenders)) > 3


def test_neither_mouth_is_lent_where_white_lies_over_one_of_them_but_in_other_light_it_is() -> None:
    clear = np.array([137.0, 166, 234])
    faded = [(1 - white) * clear + white * 255 for white in (0.1, 0.25, 0.6)]
    dim, green, cold = 0.7 * clear, clear * (1, 1.2, 1), clear * (1.1, 1, 0.95)
    skins = np.array([clear, *faded, dim, green, cold], np.float32)
    places = Places.of(np.zeros((len(skins), 2)), skins)
    every = np.arange(len(skins))
    assert places.fit(every, every[:1])[0].tolist() == [True, True, False, False, True, True, True]
    assert places.fit(every, every[2:3])[0].tolist()[:4] == [False, True, True, False]


def test_nothing_is_lent_between_lamps_of_different_colours() -> None:
    """Lips do not change as skin does under them."""
    clear = np.array([137.0, 166, 234])
    near, red, blue = clear * (1.1, 1, 1.1), clear * (1, 1, 1.3), clear * (1.3, 1, 1)
    skins = np.array([clear, near, red, blue], np.float32)
    places = Places.of(np.zeros((len(skins), 2)), skins)
    assert places.fit(np.arange(4), np.arange(1))[0].tolist() == [True, True, False, False]


def test_a_step_of_colour_in_grey_skin_is_no_white_over_it() -> None:
    skins = [(199, 200, 201), (198, 200, 202), (197, 200, 203), (196, 200, 204), (194, 200, 206)]
    every = np.arange(len(skins))
    assert Places.of(np.zeros((len(skins), 2)), np.array(skins, np.float32)).fit(every, every).all()


def test_work_that_is_stopped_ends_before_all_candidates_are_weighed() -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise JobCanceled("Canceled.")

    with pytest.raises(JobCanceled):
        Chooser(talker()).local_costs(shapes(*[1.0] * COUNT), np.arange(COUNT, dtype=np.int32), alive=stop)
    assert calls == 3


def test_in_silence_a_mouth_stays_while_the_head_turns_a_little_too_far_for_it() -> None:
    """Four frames with another mouth, and back, would be seen."""
    turns = np.zeros(COUNT)
    turns[20:24] = FARTHEST_TURN + 3
    patches = np.zeros((COUNT, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8)
    patches[18:26] = 90
    person = person_of(np.zeros((COUNT, 1)), turns=turns, patches=patches)
    shown, nowhere = np.arange(COUNT, dtype=np.int32), np.zeros((COUNT, 8), np.float32)
    fits = person.places.fit(np.arange(COUNT), np.array([22]))[0]
    assert not fits[:18].any()

    lenders = Chooser(person).choose(nowhere, shown, speech=0.0)
    spoken = Chooser(person).choose(nowhere, shown, speech=1.0)

    assert not fits[lenders[20:24]].any()
    assert fits[spoken[20:24]].all()
