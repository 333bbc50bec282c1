"""Scores of made-up people and the demo's speech, heard by the ear that ships."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.limits import AudioLimits
from app.media.sound import Sound, decode_sound
from app.media.timing import Segment
from app.mouths.adaptation import shut
from app.mouths.choice import Chooser, Lenders
from app.mouths.looks import PATCH_SIZE
from app.mouths.person import Person
from app.mouths.space import OPENING
from app.progress import Alive
from app.rendering.score import SHUT, Score, ScoreBook, Scorer, _wait
from app.rendering.timeline import Timeline, split_segments
from app.rendering.wanted import HeardShapes
from tests.support.models import default_model
from tests.support.mouths import person_of, talk

SPEECH = Path(__file__).parents[3] / "demo/speech.wav"
FPS = Fraction(25)
FRAMES = 220
SEGMENTS = split_segments(FRAMES, FPS)
TIMELINE = Timeline(FRAMES, FPS, 60, FPS)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    folder = tmp_path_factory.mktemp("sound")
    return decode_sound(SPEECH, AudioLimits(60), folder / "track", folder / "speech")


@cache
def talker() -> Person:
    """Somebody who talks, in two takes with a gap; mouths look different by how they are open."""
    wanted = talk(60)
    takes = np.repeat([0, 1], 30)
    takes[28:31] = -1
    looks = np.zeros((60, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8)
    looks[:] = (10 * wanted).astype(np.uint8)[:, :, None, None]
    return person_of(wanted, takes=takes, patches=looks)


def scorer(sound: Sound, person: Person | None = None, offset_ms: float = 0.0) -> Scorer:
    whose = person or talker()
    return Scorer(whose, HeardShapes(whose, default_model().ear, sound, TIMELINE, offset_ms), TIMELINE)


def same(one: Score, other: Score) -> bool:
    parts = ("lenders", "wanted", "drawn")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


def test_every_frame_with_a_face_has_a_lender_of_its_own_take(sound: Sound) -> None:
    maker, takes = scorer(sound), talker().study.takes
    for segment in SEGMENTS:
        score = maker.score(segment)
        assert len(score) == segment.frame_count
        shown = takes[[TIMELINE.avatar_frame(segment.first_frame + i) for i in range(len(score))]]
        assert ((score.lenders < 0) == (shown < 0)).all()
        assert (takes[score.lenders] == shown)[shown >= 0].all()
        assert not score.drawn.any()


def test_speech_opens_the_mouth(sound: Sound) -> None:
    score = scorer(sound).score(SEGMENTS[2])
    shown = score.lenders >= 0
    openings = talker().openings[score.lenders[shown]]
    assert score.wanted[:, 0].std() > 0.2
    assert np.corrcoef(score.wanted[shown, 0], openings)[0, 1] > 0.5


def test_lips_that_are_parted_at_rest_meet_while_somebody_speaks_and_not_long_after(sound: Sound) -> None:
    smiling = person_of(np.zeros((1, 1)))
    still = Timeline(FRAMES, FPS, 1, FPS)
    wanted = HeardShapes(smiling, default_model().ear, sound, still, 0)
    end = round(sound.duration * FPS)
    asked = wanted.ask(range(end + 75))
    assert asked.rest[end // 2] == pytest.approx(shut(smiling.ajar)[0])
    assert np.abs(np.diff(asked.rest[:, 0])).max() < 0.2 * np.abs(asked.rest[:, 0]).max()
    assert not asked.rest[-10:].any()
    apart = wanted.ask(range(end - 20, end + 30))
    assert np.array_equal(apart.rest, asked.rest[end - 20 : end + 30])
    assert not HeardShapes(talker(), default_model().ear, sound, still, 0).ask(range(end)).rest.any()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_segments_have_the_same_scores_in_whatever_order_and_by_whomever_they_are_made(
    sound: Sound, order: Iterable[int]
) -> None:
    assert len(SEGMENTS) == 4
    whole = scorer(sound)
    expected = {segment.index: whole.score(segment) for segment in SEGMENTS}
    for index in order:
        assert same(scorer(sound).score(SEGMENTS[index]), expected[index])


def turning(first: int) -> Person:
    """Somebody who talks, and turns away to listen from frame ``first`` on, for 20 frames."""
    away = np.isin(np.arange(60), range(first, first + 20))
    return person_of(np.where(away[:, None], 0, talk(60)), turns=np.where(away, 25.0, 0.0))


@pytest.mark.parametrize("first", [None, *range(10, 40, 3)])
def test_where_two_segments_meet_both_know_the_lender_and_what_is_drawn(
    sound: Sound, monkeypatch: pytest.MonkeyPatch, first: int | None
) -> None:
    person = talker() if first is None else turning(first)
    asked: list[tuple[int | None, int | None]] = []
    choose = Chooser.choose

    def noted(chooser: Chooser, *values: Any, **named: Any) -> Lenders:
        if len(values) > 4 and len(values[0]) > 1:  # of one frame alone it is not known which end it is
            asked.append(values[4])
        return choose(chooser, *values, **named)

    monkeypatch.setattr(Chooser, "choose", noted)
    whole = scorer(sound, person).score(Segment(0, 0, FRAMES, last=True))
    ends: dict[int, set[int]] = {}
    for segment in SEGMENTS:
        asked.clear()
        score = scorer(sound, person).score(segment)
        begin, end = segment.first_frame, segment.first_frame + segment.frame_count
        assert np.array_equal(score.drawn, whole.drawn[begin:end])
        for one, other in asked:
            for join, pin in ((begin, one), (end, other)):
                if pin is not None:
                    ends.setdefault(join, set()).add(pin)
    lent = (person.study.takes[[TIMELINE.avatar_frame(index) for index in range(FRAMES)]] >= 0) & ~whole.drawn
    assert sorted(ends) == [one.first_frame for one in SEGMENTS[1:] if lent[one.first_frame]]
    assert all(len(lenders) == 1 for lenders in ends.values())


def test_a_mouth_that_is_drawn_on_beyond_a_silent_stretch_keeps_its_shape(sound: Sound) -> None:
    """Lips that are parted at rest meet while somebody speaks, for as long as they are drawn."""
    person = replace(turning(20), ajar=np.full(60, 0.1))
    score, plain = (
        scorer(sound, one).score(Segment(0, 0, FRAMES, last=True))
        for one in (person, replace(person, ajar=np.zeros(60)))
    )
    silent = person.silent[[TIMELINE.avatar_frame(index) for index in range(FRAMES)]]
    beyond = score.drawn & ~silent
    assert beyond.any()
    openings, apart = (one.wanted[:, :6] @ OPENING for one in (score, plain))
    both = beyond & (score.speech == 1)
    assert apart[both].min() > -1e-3
    assert openings[both] == pytest.approx(apart[both] - 0.1, abs=1e-3)


def test_who_never_talks_lends_resting_mouths_whose_inside_is_drawn(sound: Sound) -> None:
    person = person_of(np.zeros((60, 1)))
    score = scorer(sound, person).score(SEGMENTS[1])
    assert score.drawn.all()
    assert person.rest[score.lenders].all()
    assert np.ptp(score.wanted[:, 0]) > 0.3


def test_a_take_without_an_open_mouth_has_its_own_resting_one_whose_inside_is_drawn(sound: Sound) -> None:
    lips = talk(60)
    lips[30:] = 0
    takes = np.repeat([0, 1], 30)
    person = person_of(lips, takes=takes)
    maker = scorer(sound, person)
    for segment in SEGMENTS[:3]:
        score = maker.score(segment)
        shown = [TIMELINE.avatar_frame(segment.first_frame + i) for i in range(len(score))]
        assert (score.drawn == (takes[shown] == 1)).all()
        assert (takes[score.lenders] == takes[shown]).all()
        assert person.rest[score.lenders[score.drawn]].all()


def test_a_mouth_moves_later_by_the_offset(sound: Sound) -> None:
    segment = Segment(0, 0, 150, False)
    now, later = (scorer(sound, offset_ms=ms).score(segment).wanted for ms in (0.0, 400.0))
    assert later[10:] == pytest.approx(now[:-10], abs=1e-3)


def test_a_scores_file_is_taken_only_for_the_sound_and_the_plan_that_it_is_of(
    sound: Sound, tmp_path: Path
) -> None:
    score, path = scorer(sound).score(SEGMENTS[0]), tmp_path / "0.score"
    with path.open("wb") as file:
        score.save(file, "plan sound")
    loaded = Score.load(path, "plan sound", len(score))
    assert loaded is not None
    assert same(loaded, score)
    assert Score.load(path, "plan another", len(score)) is None
    assert Score.load(path, "plan sound", len(score) + 1) is None
    assert Score.load(tmp_path / "1.score", "plan sound", len(score)) is None


@pytest.fixture(scope="module")
def written(sound: Sound, tmp_path_factory: pytest.TempPathFactory) -> tuple[Score, Path, bytes]:
    score, path = scorer(sound).score(SEGMENTS[0]), tmp_path_factory.mktemp("score") / "0.score"
    with path.open("wb") as file:
        score.save(file, "key")
    return score, path, path.read_bytes()


@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_truncated_or_damaged_score_is_not_taken(
    written: tuple[Score, Path, bytes], where: float, change: int
) -> None:
    score, path, content = written
    place = int(where * len(content))
    path.write_bytes(content[:place])
    assert Score.load(path, "key", len(score)) is None
    damaged = bytearray(content)
    damaged[place] ^= change
    path.write_bytes(damaged)
    loaded = Score.load(path, "key", len(score))
    assert loaded is None or same(loaded, score)


def test_a_book_keeps_scores_and_makes_those_anew_that_are_damaged(sound: Sound, tmp_path: Path) -> None:
    book = ScoreBook(scorer(sound), SEGMENTS, tmp_path, "key")
    for frame in (FRAMES - 1, 0, 26, 25, 24):
        score, row = book.row(frame)
        segment = next(s for s in SEGMENTS if s.first_frame <= frame < s.first_frame + s.frame_count)
        assert (len(score), row) == (segment.frame_count, frame - segment.first_frame)
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == ["00000.score", "00001.score", "00003.score"]
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    times = [path.stat().st_mtime_ns for path in kept]
    again = ScoreBook(scorer(sound), SEGMENTS, tmp_path, "key")
    assert same(again.row(0)[0], book.row(0)[0])
    assert same(again.row(26)[0], book.row(26)[0])
    assert [a == b for a, b in zip(times, (p.stat().st_mtime_ns for p in kept), strict=True)] == [
        False,
        True,
        True,
    ]
    other = ScoreBook(scorer(sound), SEGMENTS, tmp_path, "other key")
    other.row(26)
    assert times[1] != kept[1].stat().st_mtime_ns


class Counting:
    """Makes scores of one frame, and counts them."""

    made = 0

    def score(self, segment: Segment, alive: Alive) -> Score:
        self.made += 1
        one = np.zeros(1, np.float32)
        return Score(np.array([segment.index], np.int32), np.zeros((1, 8), np.float32), one > 0, one)


def test_scores_stay_in_memory_for_encoders_that_are_far_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [Segment(index, index, 1, last=index == 199) for index in range(200)]
    maker, load = Counting(), Score.load
    read: list[str] = []

    def noted(path: Path, key: str, frames: int) -> Score | None:
        read.append(path.name)
        return load(path, key, frames)

    monkeypatch.setattr(Score, "load", noted)
    book = ScoreBook(cast(Scorer, maker), segments, tmp_path, "key")
    for _ in range(3):
        for lane in range(32):
            score, _ = book.row(6 * lane)
            assert score.lenders.tolist() == [6 * lane]
    assert maker.made == len(read) == 32
    for frame in range(200):
        book.row(frame)
    book.row(0)
    assert maker.made == 200
    assert read[-1] == "00000.score"


@pytest.mark.parametrize("backward", [False, True])
def test_between_lent_and_drawn_mouths_is_changed_where_the_mouth_shuts_if_that_is_near(
    backward: bool,
) -> None:
    order = slice(None, None, -1 if backward else None)
    openings = np.array([0.2, 0.2, 0.3, 0.2, 0.1, 0.02, 0.01, 0.2, 0.2, 0.2, 0.3, 0.4, 0.3, 0.3])
    drawn = np.zeros(14, np.bool_)
    drawn[[0, 1, 2, 9]] = True
    takes = np.repeat([0, 1], [12, 2]).astype(np.int32)
    _wait(drawn[order], takes[order], np.maximum(openings[order], SHUT), 5)
    expected = [0, 1, 2, 3, 4, 9] if not backward else [0, 1, 2, 7, 8, 9]
    assert np.flatnonzero(drawn).tolist() == expected


def test_who_turns_away_to_listen_gets_drawn_mouths_there_and_lent_ones_elsewhere(sound: Sound) -> None:
    away = np.where(np.arange(60) < 30, 0.0, 25.0)
    person = person_of(np.where(away[:, None] > 0, 0, talk(60)), turns=away)
    score = scorer(sound, person).score(Segment(0, 0, FRAMES, last=True))
    silent = person.silent[[TIMELINE.avatar_frame(index) for index in range(FRAMES)]]
    assert silent.sum() > FRAMES // 3
    assert score.drawn[silent].all()
    assert not score.drawn[:20].any()
    assert person.rest[score.lenders[score.drawn]].all()
    assert (away[score.lenders[silent]] == 25).all()
