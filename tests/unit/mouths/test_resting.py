"""Which frames lend resting mouths: the same ones, whoever asks for them and in whatever order."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from app.mouths.choice import Chooser, Costs
from app.mouths.person import Person
from app.mouths.resting import REST_LIGHT, RestLenders, rest_lenders
from tests.support.mouths import person_of, talk

COUNT = 60


def test_resting_mouths_are_lent_by_resting_frames() -> None:
    person = person_of(talk(COUNT))
    lenders = rest_lenders(person)
    assert person.rest[lenders].all()
    changes = np.flatnonzero(np.diff(lenders))
    assert len(changes) < COUNT / 4


def test_frames_without_a_face_have_no_resting_lender() -> None:
    takes = np.zeros(COUNT, int)
    takes[7:9] = -1
    lenders = rest_lenders(person_of(talk(COUNT), takes=takes))
    assert (lenders < 0).tolist() == (takes < 0).tolist()


@cache
def silent() -> Person:
    """Return who never talks, for a minute: their head turns to and fro, and their lips tremble."""
    rng, count = np.random.default_rng(0), 1500
    looks = rng.integers(60, 190, (1, 18, 26, 3)) + np.cumsum(rng.standard_normal((count, 1, 1, 1)), axis=0)
    lips, turns = 0.05 * rng.standard_normal((count, 2)), 4 * np.sin(np.arange(count) / 40)
    return person_of(lips, turns=turns, patches=np.clip(looks, 0, 255).astype(np.uint8))


def test_a_resting_mouth_is_the_same_whoever_asks_for_it_first() -> None:
    whole = rest_lenders(silent())
    asked = RestLenders(silent())
    for part in (slice(700, 760), slice(0, 30), slice(740, 1500)):
        assert np.array_equal(asked.of(np.arange(1500, dtype=np.int32)[part]), whole[part])


def test_the_first_frames_of_long_footage_wait_for_a_few_others_only() -> None:
    weighed = 0

    def alive() -> None:
        nonlocal weighed
        weighed += 1

    RestLenders(silent()).of(np.arange(25, dtype=np.int32), alive)
    assert weighed < 2 * 1500 / 4


def test_resting_mouths_change_hardly_more_often_than_if_all_were_chosen_at_once() -> None:
    person = silent()
    resting = Chooser(replace(person, usable=person.usable & person.rest), Costs(light=REST_LIGHT))
    at_once = resting.choose(np.zeros((1500, 8), np.float32), np.arange(1500, dtype=np.int32), speech=0.0)
    assert np.count_nonzero(np.diff(rest_lenders(person))) <= 1.15 * np.count_nonzero(np.diff(at_once))


def test_resting_mouths_are_lent_in_the_same_light_though_others_part_less() -> None:
    bright = np.where(np.arange(COUNT) // 10 % 2, 120.0, 150.0)
    apart = np.where(bright > 130, 4.5, 5.0)
    person = person_of(np.zeros((COUNT, 1)), brightness=bright, apart=apart)

    assert bright[rest_lenders(person)] == pytest.approx(bright)
