"""Mouths that the footage lends, from an avatar and a sound to frames, with the model that ships."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.errors import JobCanceled
from app.media.limits import AudioLimits
from app.mouths.covers import Usual, gather
from app.mouths.marks import NOTHING
from app.mouths.meeting import meet
from app.mouths.person import Person
from app.mouths.study import STUDY, study_frames
from app.mouths.talking import range_of
from app.rendering.chosen import ChosenMouths
from app.rendering.opened import OpenRender
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.frames import Listed
from tests.support.models import default_model, form_of
from tests.support.talkers import talker
from tests.support.videos import decode

FPS = 25.0
SPEECH = Path(__file__).parents[3] / "demo/speech.wav"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    """``talker`` opens and shuts her mouth for two seconds, ``silent`` smiles all through."""
    root = tmp_path_factory.mktemp("people")
    made = builder(root / "avatars", form=form_of(default_model()))
    for name, video in (
        ("talker", talker(root / "talker.mp4")),
        ("silent", clips.talking_head(root / "silent.mp4", 1.0)),
    ):
        made.build(AvatarRequest(name, video, video.name), no_progress)
    return made


@pytest.fixture
def copied(people: AvatarBuilder, tmp_path: Path) -> AvatarBuilder:
    """Avatars of their own to damage."""
    shutil.copytree(people.store.root, tmp_path / "avatars")
    return builder(tmp_path / "avatars", form=form_of(default_model()))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of somebody speaking."""
    return clips.beginning(SPEECH, tmp_path_factory.mktemp("words") / "words.wav", 4.0)


def renderer_of(people: AvatarBuilder) -> Renderer:
    return Renderer(default_model(), people.store, people.cache, AudioLimits(60))


@contextmanager
def opened(
    people: AvatarBuilder, avatar_id: str, sound: Path, workspace: Workspace, **options: Any
) -> Iterator[tuple[OpenRender, ChosenMouths]]:
    request = RenderRequest(avatar_id, sound, RenderOptions(**options))
    with renderer_of(people).open(request, workspace, lambda: None) as render:
        assert isinstance(render.maker.mouths, ChosenMouths)
        yield render, render.maker.mouths


def seen(render: OpenRender) -> Person:
    """Return the person who is seen in the frames of a render."""
    avatar, count = render.maker.avatar, render.frame_count
    frames = [frame.copy() for frame in render.maker.make(range(count))]
    sources = [render.maker.timeline.avatar_frame(index) for index in range(count)]
    study = study_frames(Listed(frames), avatar.layout, FPS, avatar.boxes[sources], avatar.landmarks[sources])
    if not avatar.person.talks:  # a pale smile is taken for something before the face
        nothing = Usual(NOTHING, NOTHING, 0.0)
        bare = gather(np.zeros(count, np.float32), {}, {}, nothing, avatar.landmarks[sources])
        study = replace(study, covers=bare)
    return meet(study, FPS)


@pytest.mark.parametrize(("avatar_id", "talks"), [("talker", True), ("silent", False)])
def test_the_mouth_follows_what_is_heard(
    people: AvatarBuilder, words: Path, workspace: Workspace, avatar_id: str, talks: bool
) -> None:
    """Who talks in the footage lends mouths; those of others are bent, and drawn inside."""
    with opened(people, avatar_id, words, workspace) as (render, mouths):
        assert render.maker.avatar.person.talks == talks
        rows = [mouths.scores.row(index) for index in range(render.frame_count)]
        assert all(score.drawn[row] != talks for score, row in rows)
        wanted = np.array([score.wanted[row, 0] for score, row in rows])
        person = seen(render)
    assert person.talks
    assert np.corrcoef(wanted, person.openings)[0, 1] > 0.5
    if talks:
        assert len({int(score.lenders[row]) for score, row in rows}) > 7


@pytest.mark.parametrize("avatar_id", ["talker", "silent"])
def test_the_strength_says_how_far_the_mouth_opens(
    people: AvatarBuilder, tmp_path: Path, words: Path, avatar_id: str
) -> None:
    spoken = clips.beginning(words, tmp_path / "spoken.wav", 2.0)
    spreads = []
    for strength in (0.0, 0.5, 1.0):
        workspace = Workspace(tmp_path / str(strength))
        with opened(people, avatar_id, spoken, workspace, strength=strength) as (render, _):
            spreads.append(float(seen(render).openings.std()))
            assert render.notices[1:] == []
    assert spreads[0] < 0.45 * spreads[2]
    assert spreads[0] < 0.8 * spreads[1] < 0.72 * spreads[2]


def test_in_silence_the_mouth_rests(people: AvatarBuilder, tmp_path: Path, workspace: Workspace) -> None:
    silence = clips.write_wav(tmp_path / "silence.wav", np.zeros(32000, np.float32))
    with opened(people, "talker", silence, workspace) as (render, mouths):
        person, own = seen(render), render.maker.avatar.person
        rows = [mouths.scores.row(index) for index in range(render.frame_count)]
        lenders = [int(score.lenders[row]) for score, row in rows]
    assert own.rest[lenders].all()
    assert person.range < 0.25 * range_of(own.openings[own.seen])


def test_a_study_of_another_version_is_made_again_with_the_meshes_that_it_has(
    copied: AvatarBuilder, words: Path, workspace: Workspace
) -> None:
    path = copied.store.path("talker") / STUDY
    once = dict(np.load(path))
    second = {name: numbers for name, numbers in once.items() if name != "cuts"}
    second["skin"] = np.column_stack([once["skin"], once["redness"]])
    np.savez(path, **second | {"version": np.int32(2), "covers_face": once["covers_face"] + 1})
    with opened(copied, "talker", words, workspace):
        again = dict(np.load(path))
    assert again.keys() == once.keys()
    for name, numbers in once.items():
        np.testing.assert_array_equal(again[name], numbers)


@pytest.mark.parametrize("damage", [None, 0, 1000])
def test_an_avatar_of_an_earlier_version_or_with_a_truncated_study_is_studied_when_it_is_opened(
    copied: AvatarBuilder, words: Path, workspace: Workspace, damage: int | None
) -> None:
    study = copied.store.path("talker") / STUDY
    before = study.read_bytes()
    if damage is None:
        study.unlink()
    else:
        study.write_bytes(before[:damage])
    with opened(copied, "talker", words, workspace) as (render, _):
        assert render.maker.avatar.person.talks
    again, once = np.load(study), np.load(io.BytesIO(before))
    eyes = np.linalg.norm(once["meshes"][:, 33] - once["meshes"][:, 263], axis=1).mean()
    assert np.abs(again["meshes"] - once["meshes"]).mean() < 0.01 * eyes
    np.testing.assert_array_equal(again["patches"], once["patches"])
    np.testing.assert_array_equal(again["takes"], once["takes"])


def straight(people: AvatarBuilder, words: Path, folder: Path) -> bytes:
    workspace = Workspace(folder)
    renderer_of(people).render(RenderRequest("talker", words), workspace, no_progress)
    return workspace.result.read_bytes()


def test_a_render_that_was_killed_between_choosing_and_laying_goes_on_with_its_scores(
    people: AvatarBuilder, words: Path, workspace: Workspace, tmp_path: Path
) -> None:
    with opened(people, "talker", words, workspace) as (render, mouths):
        render.begin()
        mouths.scores.row(0)
        mouths.scores.row(render.frame_count - 1)
    scores = {path.name: path.stat().st_mtime_ns for path in workspace.scores.iterdir()}
    assert len(scores) == 2
    assert not list(workspace.segments.glob("*.m4s"))
    told: dict[str, int] = {}

    def look(done: int, total: int) -> None:
        if done == total:
            told.update({path.name: path.stat().st_mtime_ns for path in workspace.scores.iterdir()})

    renderer_of(people).render(RenderRequest("talker", words), workspace, look)
    assert told.items() >= scores.items()
    assert workspace.result.read_bytes() == straight(people, words, tmp_path / "straight")


def test_scores_of_another_sound_are_not_taken(
    people: AvatarBuilder, words: Path, workspace: Workspace, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise JobCanceled("enough")

    other = clips.write_wav(tmp_path / "other.wav", np.zeros(64000, np.float32))
    with pytest.raises(JobCanceled):
        renderer_of(people).render(RenderRequest("talker", other), workspace, stop)
    assert list(workspace.scores.iterdir())
    shutil.rmtree(workspace.segments)
    renderer_of(people).render(RenderRequest("talker", words), workspace, no_progress)
    assert workspace.result.read_bytes() == straight(people, words, tmp_path / "straight")


def test_frames_of_the_result_are_as_many_as_the_sound_is_long(
    people: AvatarBuilder, words: Path, workspace: Workspace
) -> None:
    renderer_of(people).render(RenderRequest("talker", words), workspace, no_progress)
    assert len(decode(workspace.result).frames) == 100
