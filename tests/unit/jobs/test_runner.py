from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.avatars.store import AvatarStore
from app.errors import AvatarDeleted, AvatarExists, AvatarNotFound, NotAudio
from app.jobs.job import Job, JobKind, utc_now
from app.jobs.runner import ModelRunner
from app.settings import Settings
from tests.support.avatars import made_up_manifest, put_made_up

MAKING = Job(
    "one",
    JobKind.AVATAR,
    "anna",
    {"filename": "a.mp4", "face": "left", "pads": [0, 0.05, 0, 0], "smoothing": 0.2},
    attempts=1,
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
)
RENDERING = Job(
    "two",
    JobKind.RENDER,
    "anna",
    {
        "fps": "30000/1001",
        "quality": "high",
        "mouth_offset_ms": 5.0,
        "start_frame": 3,
        "loop": "restart",
        "stream": True,
    },
)


class Rooms:
    """Stands in for the model and the rooms around it: notes what it is asked for, then fails."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.asked: dict[str, Any] = {}

    def build(self, request: object, progress: object) -> None:
        self.asked = {"request": request}
        raise self.failure

    def render(self, request: object, workspace: object, progress: object, **options: object) -> None:
        self.asked = {"request": request, "workspace": workspace} | options
        raise self.failure


def runner(tmp_path: Path, rooms: Rooms) -> ModelRunner:
    made = ModelRunner(Settings(data_dir=tmp_path / "data", avatars_dir=tmp_path / "avatars"))
    made._workshop = SimpleNamespace(builder=rooms, renderer=rooms)  # type: ignore[assignment]
    return made


def store_avatar(tmp_path: Path, created_at: datetime) -> None:
    manifest = replace(made_up_manifest("anna", frame_count=50), fps=Fraction(25), created_at=created_at)
    put_made_up(AvatarStore(tmp_path / "avatars"), manifest)


def ignore(done: int, total: int) -> None:
    pass


def test_an_avatar_that_an_attempt_finished_before_it_died_counts_as_made(tmp_path: Path) -> None:
    store_avatar(tmp_path, utc_now())
    stats = runner(tmp_path, Rooms(AvatarExists("taken"))).run(replace(MAKING, attempts=2), ignore)
    assert (stats.frames, stats.media_seconds) == (50, 2.0)


@pytest.mark.parametrize(("attempts", "age"), [(1, timedelta(0)), (2, timedelta(days=10_000))])
def test_an_avatar_that_was_there_before_does_not(tmp_path: Path, attempts: int, age: timedelta) -> None:
    store_avatar(tmp_path, utc_now() - age)
    with pytest.raises(AvatarExists):
        runner(tmp_path, Rooms(AvatarExists("taken"))).run(replace(MAKING, attempts=attempts), ignore)


@pytest.mark.parametrize("failure", [AvatarNotFound("gone"), FileNotFoundError("gone")])
def test_a_render_whose_avatar_was_deleted_says_so(tmp_path: Path, failure: Exception) -> None:
    with pytest.raises(AvatarDeleted):
        runner(tmp_path, Rooms(failure)).run(RENDERING, ignore)


@pytest.mark.parametrize("failure", [NotAudio("text"), FileNotFoundError("something else")])
def test_another_failure_of_a_render_stays_what_it_is(tmp_path: Path, failure: Exception) -> None:
    store_avatar(tmp_path, utc_now())
    with pytest.raises(type(failure)):
        runner(tmp_path, Rooms(failure)).run(RENDERING, ignore)


def test_a_jobs_parameters_reach_the_rooms(tmp_path: Path) -> None:
    store_avatar(tmp_path, utc_now())
    rooms = Rooms(NotAudio("text"))
    with pytest.raises(NotAudio):
        runner(tmp_path, rooms).run(RENDERING, ignore)
    request = rooms.asked["request"]
    assert (request.avatar_id, request.audio) == ("anna", tmp_path / "data" / "jobs" / "two" / "upload")
    assert (request.fps, request.quality, request.loop) == (Fraction(30000, 1001), "high", "restart")
    assert (request.mouth_offset_ms, request.start_frame) == (5.0, 3)
    assert rooms.asked["keep_fragments"] is True
    assert rooms.asked["workspace"].folder == tmp_path / "data" / "jobs" / "two"
    with pytest.raises(AvatarExists):
        runner(tmp_path, rooms := Rooms(AvatarExists("taken"))).run(MAKING, ignore)
    request = rooms.asked["request"]
    assert (request.id, request.filename, request.face.rule) == ("anna", "a.mp4", "left")
    assert (request.pads.bottom, request.smoothing) == (0.05, 0.2)
