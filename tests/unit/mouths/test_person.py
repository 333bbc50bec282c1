import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.mouths import meeting
from app.mouths.adaptation import shut
from app.mouths.lending import FARTHEST_TURN
from app.mouths.meeting import meet
from app.mouths.person import enough_frames
from app.mouths.resting import rest_lenders
from app.mouths.study import TakeFrames
from tests.support.mouths import person_of, study_of, talk

NOBODY = {
    "no_face_is_found": {"takes": [-1]},
    "no_mesh_is_found": {"found": False},
    "it_is_too_dark": {"brightness": [10.0]},
    "it_is_too_bright": {"brightness": [252.0]},
}


def test_a_mouth_is_measured_from_how_it_usually_rests_not_from_its_tightest_frame() -> None:
    wanted = talk(90)
    wanted[40:44] = -3.0
    person = person_of(wanted)
    resting = (wanted == 0).ravel()
    resting[38:46] = False
    assert np.abs(person.shapes[resting, 0]).max() < 0.3
    assert person.shapes[41:43, 0] == pytest.approx(-3, abs=0.2)
    assert person.openings[41] < -0.1


@pytest.mark.parametrize(("parts", "seen"), [(True, True), (False, False)])
def test_a_beard_marked_in_black_and_white_hides_no_lips_that_are_seen_to_part(
    parts: bool, seen: bool
) -> None:
    """Grey pictures show no red. Behind a bar nothing is seen to part when the mesh opens."""
    open_now = talk(100)
    study = study_of(open_now, redness=[0.0])
    lips = np.full(100, 0.46, np.float32)
    parting = (2 + open_now[:, 0] if parts else np.full(100, 2.0)).astype(np.float32)
    person = meet(replace(study, parting=parting, covers=replace(study.covers, lips=lips)), 25.0)
    assert (person.seen == seen).all()


@pytest.mark.parametrize(("before", "seen"), [(0.0, True), (0.5, False)])
def test_a_mouth_half_of_which_is_behind_something_all_along_is_hidden_however_red_the_other_half_is(
    before: float, seen: bool
) -> None:
    study = study_of(talk(100))
    covers = replace(
        study.covers, lips=np.full(100, 0.55, np.float32), lips_before=np.array(before, np.float32)
    )
    assert (meet(replace(study, covers=covers), 25.0).seen == seen).all()


@pytest.mark.parametrize("brightness", [28.0, 24.0, 242.0])
def test_a_dim_or_glaring_room_shows_a_mouth_all_along_or_never(brightness: float) -> None:
    """Noise about a single threshold would switch between new words and old ones."""
    noise = np.random.default_rng(1).uniform(-1.5, 1.5, 100)
    weights = person_of(talk(100), brightness=brightness + noise).weights()
    assert (weights == 1).all()


def test_what_is_dark_stays_dark_while_it_is_dim_up_to_the_next_cut() -> None:
    brightness = np.repeat([60.0, 18.0, 25.0, 60.0], 10)
    assert (
        person_of(talk(40), brightness=brightness).seen.tolist() == [True] * 10 + [False] * 20 + [True] * 10
    )
    cut = person_of(talk(40), brightness=brightness, cuts=(20,))
    assert cut.seen.tolist() == [True] * 10 + [False] * 10 + [True] * 20


def test_what_is_overexposed_stays_so_while_it_is_nearly() -> None:
    noise = np.random.default_rng(1).uniform(-1.5, 1.5, 40)
    assert not person_of(talk(40), brightness=245.5 + noise).seen.any()
    brightness = np.repeat([200.0, 248.0, 244.5, 200.0], 10)
    assert (
        person_of(talk(40), brightness=brightness).seen.tolist() == [True] * 10 + [False] * 20 + [True] * 10
    )


def test_a_glimpse_between_two_dark_moments_does_not_count() -> None:
    brightness = np.repeat([60.0, 10.0, 40.0, 10.0, 60.0], [10, 10, 3, 10, 7])
    assert np.flatnonzero(~person_of(talk(40), brightness=brightness).seen).tolist() == list(range(10, 33))


def test_lips_that_are_pressed_in_are_not_lent_but_may_be_changed() -> None:
    red = np.ones(60)
    red[20:25] = 0.4
    person = person_of(talk(60), redness=red)
    assert np.flatnonzero(~person.usable).tolist() == [20, 21, 22, 23, 24]
    assert person.seen.all()
    assert not person.rest[20:25].any()


def test_lips_that_meet_are_not_pressed_in_for_showing_less_red_than_parted_ones() -> None:
    """Lips that part turn their red outward, and a tongue is red: nobody could shut this mouth."""
    open_now = talk(60)
    parting = 1.0 + 8 * open_now[:, 0]
    red = np.where(parting < 3, 0.6, 1.2)
    shut = np.flatnonzero(parting < 3)
    red[shut[:2]] = 0.3
    study = replace(study_of(open_now, redness=red), parting=parting.astype(np.float32))
    person = meet(study, 25.0)
    assert np.flatnonzero(~person.usable).tolist() == shut[:2].tolist()
    assert person.rest[shut[2:]].all()


def test_where_lips_are_hardly_red_their_red_tells_nothing() -> None:
    red = np.full(60, 0.2)
    red[20:25] = 0.02
    assert person_of(talk(60), redness=red).usable.all()


def test_every_take_has_its_own_rest_unless_it_is_short() -> None:
    short = enough_frames(25.0) - 2
    wanted = np.concatenate([talk(60), talk(60) + 2, talk(60)[:short] + 2])
    person = person_of(wanted, takes=np.repeat([0, 1, 2], [60, 60, short]))
    resting = np.tile(np.flatnonzero(talk(60) == 0), 2) + np.repeat([0, 60], (talk(60) == 0).sum())
    inside = resting[(resting % 60 > 0) & (resting % 60 < 59)]
    assert np.abs(person.shapes[inside, 0]).max() < 0.5
    assert person.shapes[120:, 0].min() > 0.5


def test_a_take_that_is_short_rests_as_the_person_does_though_it_never_closes() -> None:
    """Six tenths of a second in which the mouth is half open, beside a long take."""
    wanted = np.concatenate([talk(100), 1.5 + 0.3 * talk(15)])
    person = person_of(wanted, takes=np.repeat([0, 1], [100, 15]))
    assert person.shapes[102:113, 0].min() > 1.2
    assert not person.rest[100:].any()


@pytest.mark.parametrize("count", [4, 15])
def test_a_short_take_in_which_nobody_talks_has_resting_mouths_of_its_own(count: int) -> None:
    """Somebody who never talks, and smiles for a moment between two cuts."""
    smile = np.array([[0.0, 3.0]])
    still = np.concatenate([np.zeros((100, 2)), np.repeat(smile, count, axis=0)])
    person = person_of(still, takes=np.repeat([0, 1], [100, count]))
    assert person.rest[100:].any()
    assert np.abs(person.shapes[100:]).max() < 0.1
    assert (rest_lenders(person)[100:] >= 100).all()


def test_takes_of_three_frames_are_measured_from_one_rest_in_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flag of every frame for every take would take as much as is allowed here."""
    takes = 1500
    study = study_of(talk(3 * takes), takes=np.repeat(np.arange(takes), 3))
    rests, of = [], meeting._Rest.of

    def counted(mouths: meeting._Mouths, pool: TakeFrames) -> meeting._Rest:
        rests.append(len(pool))
        return of(mouths, pool)

    monkeypatch.setattr(meeting._Rest, "of", counted)
    tracemalloc.start()
    meet(study, 25.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(count > 3 for count in rests) <= 2  # once each time that they are measured
    assert peak < (takes + 3400) * len(study)


def test_a_take_whose_lips_are_covered_throughout_lends_them_whatever_others_show() -> None:
    study = study_of(talk(200), takes=np.repeat([0, 1], [140, 60]))
    lips = np.where(study.takes == 1, 0.2, 0.0).astype(np.float32)
    person = meet(replace(study, covers=replace(study.covers, lips=lips)), 25.0)
    assert person.usable.all()
    lips[140:160] = 0.0
    person = meet(replace(study, covers=replace(study.covers, lips=lips)), 25.0)
    assert person.usable.tolist() == [True] * 160 + [False] * 40


def test_syllables_are_not_taken_for_tremor_where_frames_are_far_apart() -> None:
    syllables = np.tile([[0.0], [3.0]], (30, 1))
    assert np.ptp(person_of(syllables, fps=10.0).shapes[5:-5, 0]) > 2.2
    assert np.ptp(person_of(syllables, fps=25.0).shapes[5:-5, 0]) < 0.1


@pytest.mark.parametrize(("fps", "soft"), [(4.0, 0), (5.0, 1), (25.0, 3), (30.0, 3), (60.0, 7)])
def test_mouths_give_way_to_frames_in_which_they_cannot_be_seen_within_a_ninth_of_a_second(
    fps: float, soft: int
) -> None:
    takes = np.zeros(30, int)
    takes[12:15] = -1
    weights = person_of(talk(30), fps, takes=takes).weights()
    steps = np.arange(1, soft + 1) / (soft + 1)
    assert weights[12:15].tolist() == [0, 0, 0]
    assert weights[15 : 15 + soft] == pytest.approx(steps)
    assert weights[12 - soft : 12] == pytest.approx(steps[::-1])
    assert (weights[: 12 - soft] == 1).all()
    assert (weights[15 + soft :] == 1).all()


def test_frames_beyond_a_cut_take_nothing_from_a_mouths_weight() -> None:
    brightness = np.full(30, 120.0)
    brightness[15:] = 10.0
    takes = np.repeat([0, 1], 15)
    weights = person_of(talk(30), takes=takes, brightness=brightness).weights()
    assert weights.tolist() == [1] * 15 + [0] * 15


def test_a_mouth_stays_to_the_end_of_its_shot_though_the_next_one_shows_no_face() -> None:
    takes = np.repeat([0, -1, 1], 10)
    weights = person_of(talk(30), takes=takes, cuts=(10, 20)).weights()
    assert weights.tolist() == [1] * 10 + [0] * 10 + [1] * 10


def test_a_sight_that_is_too_short_to_be_changed_wholly_is_left_alone() -> None:
    """Seen in every third frame, then for six frames, for seven, and for three before a cut."""
    takes = np.full(46, -1)
    takes[0:15:3], takes[18:24], takes[27:34], takes[37:] = 0, 0, 0, 0
    cuts = (40,)
    weights = person_of(talk(46), takes=takes, cuts=cuts).weights()
    assert weights[1:24].tolist() == [0] * 23
    assert weights[27:34].tolist() == [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    assert weights[37:40].tolist() == [0, 0, 0]
    assert (weights[40:] == 1).all()


def test_what_lies_outside_of_the_part_of_the_clip_that_is_used_counts_for_nothing() -> None:
    takes = np.zeros(90, int)
    takes[40:50] = -1
    person = person_of(talk(90), takes=takes)
    assert person.weights()[50:54].tolist() == [0.25, 0.5, 0.75, 1]
    weights = person.weights(slice(50, 80))
    assert weights.tolist() == [0] * 50 + [1] * 30 + [0] * 10
    assert person.weights(slice(36, 45))[36:40].tolist() == [1, 0.75, 0.5, 0.25]
    assert not person.weights(slice(37, 45)).any()


def test_beside_a_cut_within_a_take_a_mouth_is_as_it_was_filmed() -> None:
    """Its tremor is taken off with the help of its neighbours: not of those beyond."""
    mouths = np.repeat([0.0, 3.0], 20)[:, None]
    for cuts, mixed in (((), True), ((20,), False)):
        shapes = person_of(mouths, cuts=cuts).shapes[:, 0]
        steps = np.abs(np.diff(shapes))[[18, 20]]
        assert (steps > 0.1).all() == (steps > 0.01).all() == mixed


def test_where_every_frame_shows_its_mouth_all_of_it_may_be_changed() -> None:
    assert (person_of(talk(30)).weights() == 1).all()


@pytest.mark.parametrize("why", NOBODY.values(), ids=NOBODY)
def test_an_avatar_whose_mouth_is_never_seen_is_left_alone(why: dict[str, Any]) -> None:
    person = person_of(talk(30), **why)
    assert not person.usable.any()
    assert not person.talks
    assert not person.weights().any()
    assert (person.habits.mean == 0).all()
    assert np.isfinite(person.shapes).all()
    assert np.isfinite(person.turns).all()
    own = np.where(person.study.takes < 0, -1, np.arange(30))
    assert rest_lenders(person).tolist() == own.tolist()


def test_one_frame_is_a_person_who_rests() -> None:
    person = person_of(np.zeros((1, 1)))
    assert (person.rest.tolist(), person.talks, person.weights().tolist()) == ([True], False, [1.0])


def test_somebody_talks_whose_mouth_opens_and_shuts() -> None:
    assert person_of(talk(60)).talks
    assert not person_of(np.zeros((60, 1))).talks
    assert not person_of(talk(60, size=0.3)).talks
    assert person_of(talk(60, size=6.0)).range == pytest.approx(2 * person_of(talk(60)).range, rel=0.05)


def test_a_take_whose_mouth_never_opens_is_silent() -> None:
    lips = talk(300)
    lips[200:] = 0.1
    person = person_of(lips, takes=np.repeat([0, 1, 2], 100))
    assert person.talks
    assert (person.silent == (person.study.takes == 2)).all()
    assert person_of(np.zeros((60, 1))).silent.all()
    assert not person_of(talk(60)).silent.any()


def test_who_listens_for_long_and_then_talks_has_mouths_to_lend() -> None:
    listens = np.zeros((1000, 1))
    listens[700:800] = talk(100, size=1.0)
    person = person_of(listens)
    assert person.talks
    assert not person.silent.any()
    assert person.range == pytest.approx(person_of(talk(100, size=1.0)).range, rel=0.1)


def test_a_take_of_talk_is_not_silent_beside_one_of_laughter() -> None:
    wanted = np.concatenate([talk(150, size=9.0), talk(150, size=2.0)])
    person = person_of(wanted, takes=np.repeat([0, 1], 150))
    assert np.ptp(person.openings[:150]) > 4 * np.ptp(person.openings[150:])
    assert not person.silent.any()


def test_nobody_is_taken_to_talk_for_trembling_at_few_frames_a_second() -> None:
    tremor = 0.3 * np.random.default_rng(3).standard_normal((150, 1))
    assert not person_of(tremor, fps=15.0).talks
    assert person_of(tremor + talk(150, every=4.7), fps=15.0).talks


def test_a_head_that_turns_away_to_listen_is_silent_for_that_while_alone() -> None:
    wanted, away = talk(300), np.zeros(300)
    wanted[100:180], away[100:180] = 0, 25.0
    away[40:45], away[200:230] = -45.0, -FARTHEST_TURN - 2
    wanted[40:45] = 0
    person = person_of(wanted, turns=away)
    assert np.flatnonzero(person.silent).tolist() == list(range(100, 180))


def test_what_is_trembling_in_a_small_face_is_talk_in_a_large_one() -> None:
    small = person_of(talk(60, size=0.7))
    large = meet(replace(small.study, meshes=3 * small.study.meshes), small.fps)
    assert (small.talks, large.talks) == (False, True)


def test_habits_are_those_of_frames_in_which_somebody_talks() -> None:
    wanted = np.concatenate([np.zeros((100, 1)), talk(60)])
    person = person_of(wanted)
    assert not person.talking[:80].any()
    assert person.talking[110:150].all()
    assert person.habits.mean[0] == pytest.approx(person_of(talk(60)).habits.mean[0], rel=0.2)
    assert person.habits.deviation[8] > 0.02


def test_a_mouth_that_is_held_open_does_not_talk_beside_frames_without_a_face_or_a_cut() -> None:
    wanted = np.concatenate([talk(60), np.full((60, 1), 2.5), talk(60)])
    takes = np.repeat([0, 1], [120, 60])
    takes[95:98] = -1
    person = person_of(wanted, takes=takes, cuts=(120,))
    assert person.talking[:55].all()
    assert not person.talking[70:120].any()
    assert person.talking[120:].all()


def test_a_turned_head_has_the_shape_of_the_same_mouth_seen_from_the_front() -> None:
    turned = person_of(talk(60), turns=np.linspace(-20, 20, 60))
    assert turned.shapes == pytest.approx(person_of(talk(60)).shapes, abs=0.05)
    assert turned.turns[-1, 0] - turned.turns[0, 0] == pytest.approx(40, abs=0.5)


def test_a_mouth_that_does_not_talk_trembles_less_than_its_meshes() -> None:
    tremor = 0.15 * np.random.default_rng(2).standard_normal((90, 1))
    still, talking = person_of(tremor), person_of(talk(90) + tremor)
    assert (still.talks, talking.talks) == (False, True)
    assert still.shapes[:, 0].std() < 0.6 * (talking.shapes[:, 0] - person_of(talk(90)).shapes[:, 0]).std()


def test_a_person_met_part_by_part_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = np.concatenate([talk(60), talk(60, size=0.2)])
    takes = np.repeat([0, 1], 60)
    takes[[0, 14, 15, 80]] = -1
    study = person_of(wanted, takes=takes).study
    whole = meet(study, 25.0)
    monkeypatch.setattr(meeting, "_FRAMES_AT_ONCE", 7)
    parts = meet(study, 25.0)
    assert whole.silent.any()
    assert not whole.silent.all()
    for name in ("front", "shapes", "openings", "usable", "rest", "ajar"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), abs=1e-9), name
    for name in ("mean", "turn", "scale"):
        assert getattr(parts.pose, name) == pytest.approx(getattr(whole.pose, name), rel=1e-9), name


def test_a_mouth_is_shut_if_it_rests_and_its_lips_meet() -> None:
    parted = person_of(np.zeros((12, 1)))
    meeting = np.repeat(shut(parted.ajar[:1])[:, :6].astype(np.float64), 12, axis=0)
    meeting[3] = 0
    person = person_of(meeting)
    assert not parted.shut(0)
    assert [person.shut(frame) for frame in (0, 3, 11)] == [True, False, True]


@pytest.mark.parametrize(("parting", "parted"), [(2.0, False), (5.0, True)])
def test_lips_that_a_mesh_hardly_parts_are_parted_if_their_inside_is_seen(
    parting: float, parted: bool
) -> None:
    ajar = person_of(np.zeros((1, 1))).ajar
    hardly = np.repeat(shut(ajar - 0.05)[:, :6].astype(np.float64), 12, axis=0)
    person = person_of(hardly, parting=parting)
    assert person.ajar == pytest.approx(0.05 if parted else 0.0, abs=0.005)
    assert person.shut(0) is not parted


@pytest.mark.parametrize("seconds", [2.4, 12.0])
def test_a_smile_that_comes_and_goes_is_no_talk(seconds: float) -> None:
    count = round(25 * seconds)
    smile = np.zeros((count, 1))
    smile[count // 3 : 2 * count // 3] = 3.0
    assert not person_of(smile).talks


def test_a_few_words_in_long_footage_are_talk() -> None:
    listens = np.zeros((400, 1))
    listens[300:350] = talk(50)
    assert person_of(listens).talks
    assert person_of(talk(25)).talks


def test_at_one_frame_a_second_talk_is_told_by_how_lively_it_is() -> None:
    assert person_of(np.tile([[0.0], [0.0], [5.0], [5.0]], (10, 1)), fps=1.0).talks


@pytest.mark.parametrize(
    ("apart", "parting", "talks"), [(5.0, 1.0, True), (2.5, 2.5, True), (2.5, 1.5, False)]
)
def test_faces_that_are_made_with_shut_lips_are_no_talk(apart: float, parting: float, talks: bool) -> None:
    study = study_of(talk(100), apart=[apart], parting=parting)

    assert meet(study, 25.0).talks == talks
