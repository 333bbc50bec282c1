from dataclasses import replace

import numpy as np
import pytest

from app.mouths import adaptation
from app.mouths.adaptation import SPREAD, UNSEEN, adapt, shut
from app.mouths.ear import Heard
from app.mouths.person import Person
from app.mouths.space import OPENING
from app.mouths.types import Numbers
from tests.support.mouths import person_of, talk

FRAMES = 2000
AVERAGE_RANGE = 0.22


def heard(deviation: float = 0.2, mean: float = 0.35, speech: float = 1.0) -> Heard:
    """Somebody heard to speak whose opening has this mean and deviation; the shapes open as much."""
    rng = np.random.default_rng(1)
    opening = mean + deviation * rng.standard_normal(FRAMES)
    shapes = np.zeros((FRAMES, 8))
    shapes[:, 0] = opening / OPENING[0] * AVERAGE_RANGE
    surely, loud = (np.full(FRAMES, share, np.float32) for share in (speech, 1.0))
    return Heard(opening.astype(np.float32), shapes.astype(np.float32), surely, loud)


def openings(person: Person, said: Heard) -> Numbers:
    wanted = adapt(person, said, AVERAGE_RANGE)(said, np.resize(person.silent, FRAMES))
    assert wanted.dtype == np.float32
    result: Numbers = wanted[:, :6].astype(np.float64) @ OPENING
    return result


@pytest.mark.parametrize("size", [2.0, 3.0, 5.0])
def test_wanted_openings_have_the_mean_and_the_spread_of_the_footage(size: float) -> None:
    person = person_of(talk(200, size))
    wanted = openings(person, heard())
    assert wanted.mean() == pytest.approx(person.habits.mean[8], rel=0.1)
    assert wanted.std() == pytest.approx(SPREAD * person.habits.deviation[8], rel=0.2)


def test_wanted_openings_spread_by_more_where_bending_keeps_less(monkeypatch: pytest.MonkeyPatch) -> None:
    spreads = []
    for share in (1.0, SPREAD):
        monkeypatch.setattr(adaptation, "SPREAD", share)
        spreads.append(openings(person_of(talk(200)), heard(0.3, 0.6)).std())
    assert spreads[1] / spreads[0] == pytest.approx(SPREAD, abs=0.02)


def test_a_loud_speaker_and_a_mumbling_one_are_brought_to_the_same_person() -> None:
    person = person_of(talk(200))
    wide, narrow = openings(person, heard(0.3, 0.6)), openings(person, heard(0.2, 0.3))
    assert wide.mean() == pytest.approx(narrow.mean(), rel=0.15)
    assert wide.std() == pytest.approx(narrow.std(), rel=0.15)


def test_a_mouth_rests_while_nobody_speaks() -> None:
    assert (openings(person_of(np.zeros((50, 1))), heard(speech=0.0)) == 0).all()


def test_in_silence_a_talker_is_as_closed_as_a_quarter_of_the_resting_mouths() -> None:
    """Who talks all along hardly rests: what is nearly shut between two words counts as rest as well."""
    person = person_of(talk(200))
    resting = person.openings[person.usable & person.rest]
    assert person.quiet == pytest.approx(np.quantile(resting, 0.25))
    assert person.quiet < -0.003
    assert openings(person, heard(speech=0.0)) == pytest.approx(np.full(FRAMES, person.quiet), abs=1e-6)
    silent = replace(person, silent=np.ones(200, np.bool_))
    assert (openings(silent, heard(speech=0.0)) == 0).all()


def test_a_mouth_closes_no_further_than_its_footage_shows() -> None:
    person = person_of(talk(200) - 0.5 * (np.arange(200) % 20 == 0)[:, None])
    assert person.least < -0.002
    assert openings(person, heard(0.4)).min() == pytest.approx(person.least, abs=1e-6)


def test_a_mouth_that_is_silent_in_a_take_closes_there_no_further_than_to_rest() -> None:
    lips = talk(400) - 0.5 * (np.arange(400) % 20 == 0)[:, None]
    lips[200:] = 0
    person = person_of(lips, takes=np.repeat([0, 1], 200))
    wanted = openings(person, heard(0.4))
    assert wanted[~np.resize(person.silent, FRAMES)].min() < -0.002
    assert wanted[np.resize(person.silent, FRAMES)].min() > -1e-6


def test_whose_footage_does_not_show_talk_closes_no_further_than_to_rest() -> None:
    assert openings(person_of(np.zeros((50, 1))), heard(0.4)).min() > -1e-6


def test_the_lips_of_a_shut_mouth_meet() -> None:
    ajar = person_of(np.zeros((1, 1))).ajar
    assert ajar[0] > 0.1
    assert person_of(shut(ajar)[:, :6].astype(np.float64)).ajar[0] == pytest.approx(0, abs=0.005)


def test_somebody_whose_footage_never_talks_opens_as_people_usually_do() -> None:
    wanted = openings(person_of(np.zeros((50, 1))), heard())
    assert wanted.mean() == pytest.approx(UNSEEN.mean[8], rel=0.35)
    assert wanted.max() < 0.5


def test_a_sound_of_one_frame_is_adapted_by_what_is_usual() -> None:
    said = heard()
    short = Heard(said.opening[:1], said.shapes[:1], said.speech[:1], said.near[:1])
    wanted = adapt(person_of(talk(200)), short, AVERAGE_RANGE)(short, np.zeros(1, np.bool_))
    assert np.isfinite(wanted).all()
    assert np.abs(wanted).max() < 10
