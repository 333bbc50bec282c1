import errno
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from app.avatars import builder
from app.avatars.store import AvatarStore
from app.decoding.apart import DecoderApart
from app.decoding.process import DecoderDied, DecoderStalled
from app.errors import (
    AvatarDeleted,
    AvatarExists,
    AvatarNotFound,
    JobCanceled,
    MouthpieceError,
    NotAudio,
    StorageFull,
)
from app.jobs.pool import Call
from app.media.timing import Segment
from app.notices import Notice
from app.progress import Progress
from app.rendering.stages import noted_stages
from app.rendering.workspace import Workspace
from app.settings import Settings
from app.workers.child import answer, hear
from app.workers.messages import Message
from app.workers.worker import Worker
from app.workshop import Workshop
from tests.support.avatars import made_up_manifest, put_made_up

MAKING = Call(
    "build_avatar",
    "one",
    "anna",
    {"filename": "a.mp4", "face": "left", "pads": [0, 0.05, 0, 0], "smoothing": 0.2},
)
RENDERING = Call(
    "prepare",
    "two",
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


@dataclass(frozen=True)
class SimpleModel:
    """Stands in for what is known of a model."""

    device: str


class Rooms:
    """Stands in for the model and the rooms around it: notes what it is asked for, then fails."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.asked: dict[str, Any] = {}

    def build(self, request: object, progress: object) -> None:
        self.asked = {"request": request}
        raise self.failure

    def open(self, request: object, workspace: object, alive: object) -> None:
        self.asked = {"request": request, "workspace": workspace}
        raise self.failure


def worker(tmp_path: Path, rooms: Rooms) -> Worker:
    made = Worker(Settings(data_dir=tmp_path / "data", avatars_dir=tmp_path / "avatars"))
    made._workshop = SimpleNamespace(builder=rooms, renderer=rooms)  # type: ignore[assignment]
    return made


def store_avatar(tmp_path: Path, job: str | None) -> None:
    manifest = replace(made_up_manifest("anna", frame_count=50), fps=Fraction(25), job=job)
    put_made_up(AvatarStore(tmp_path / "avatars"), manifest)


def ignore_message(message: Message) -> None:
    """Hear what a worker tells."""


def ignore(done: int, total: int) -> None:
    pass


def test_the_networks_of_the_first_video_are_compiled_once_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleQueue[str]()
    infer = SimpleNamespace(warm_up=partial(done.put, "model"), info=SimpleModel("cpu"))
    workshop = SimpleNamespace(infer=infer, renderer=SimpleNamespace(encoder="x264"))
    monkeypatch.setattr(Workshop, "open", lambda settings, decoder: workshop)
    monkeypatch.setattr(DecoderApart, "load", lambda self: None)
    monkeypatch.setattr(builder, "compile_networks", partial(done.put, "networks"))
    made = worker(tmp_path, Rooms(NotAudio("")))
    made._decoding = None  # type: ignore[assignment]
    assert made.load()["device"] == "cpu"
    assert [done.get(timeout=60) for _ in range(2)] == ["model", "networks"]


def test_an_avatar_that_an_attempt_finished_before_it_died_counts_as_made(tmp_path: Path) -> None:
    store_avatar(tmp_path, job=MAKING.job_id)
    answer = worker(tmp_path, Rooms(AvatarExists("taken"))).do(MAKING, ignore)
    assert (answer["frames_made"], answer["media_seconds"]) == (50, 2.0)


@pytest.mark.parametrize("job", ["another", None])
def test_an_avatar_that_is_not_the_job_s_own_does_not(tmp_path: Path, job: str | None) -> None:
    store_avatar(tmp_path, job)
    with pytest.raises(AvatarExists):
        worker(tmp_path, Rooms(AvatarExists("taken"))).do(MAKING, ignore)


@pytest.mark.parametrize("failure", [AvatarNotFound("gone"), FileNotFoundError("gone")])
def test_a_render_whose_avatar_was_deleted_says_so(tmp_path: Path, failure: Exception) -> None:
    with pytest.raises(AvatarDeleted):
        worker(tmp_path, Rooms(failure)).do(RENDERING, ignore)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (NotAudio("text"), NotAudio),
        (FileNotFoundError("secret words"), MouthpieceError),
        (OSError(errno.ENOSPC, "no space"), StorageFull),
    ],
)
def test_another_failure_of_a_render_stays_what_it_is_without_its_words(
    tmp_path: Path, failure: Exception, error: type[MouthpieceError]
) -> None:
    store_avatar(tmp_path, None)
    with pytest.raises(error, match=r"^(?!.*secret)"):
        worker(tmp_path, Rooms(failure)).do(RENDERING, ignore)


@pytest.mark.parametrize(
    ("error", "stalled"), [(DecoderDied("was ended"), False), (DecoderStalled("stalled"), True)]
)
def test_the_death_of_a_decoder_is_told_as_a_death_and_the_worker_lives(
    tmp_path: Path, error: DecoderDied, stalled: bool
) -> None:
    dying = worker(tmp_path, Rooms(error))
    for _ in range(2):
        assert answer(dying, RENDERING, ignore_message) == {"died": str(error), "stalled": stalled}


def test_what_a_call_held_is_let_go_as_soon_as_it_has_failed(tmp_path: Path) -> None:
    class Holding(Rooms):
        def build(self, request: object, progress: object) -> None:
            frames = set[object]()
            self.held = ref(frames)
            raise NotAudio("text")

    rooms = Holding(NotAudio("another"))
    assert "failed" in answer(worker(tmp_path, rooms), MAKING, ignore_message)
    assert rooms.held() is None


def test_a_stop_that_comes_with_its_call_is_heard(tmp_path: Path) -> None:
    whole, calls = worker(tmp_path, Rooms(NotAudio("text"))), SimpleQueue[Call]()
    for message in ({"stop": True}, {"call": vars(RENDERING)}):
        hear(whole, calls, message)
    assert "failed" in answer(whole, calls.get(), ignore_message)
    for message in ({"call": vars(RENDERING)}, {"stop": True}):
        hear(whole, calls, message)
    assert answer(whole, calls.get(), ignore_message) == {"left": "stopped"}


def test_a_jobs_parameters_reach_the_rooms(tmp_path: Path) -> None:
    store_avatar(tmp_path, None)
    rooms = Rooms(NotAudio("text"))
    with pytest.raises(NotAudio):
        worker(tmp_path, rooms).do(RENDERING, ignore)
    request = rooms.asked["request"]
    assert (request.avatar_id, request.audio) == ("anna", tmp_path / "data" / "jobs" / "two" / "upload")
    options = request.options
    assert (options.fps, options.quality, options.loop) == (Fraction(30000, 1001), "high", "restart")
    assert (options.mouth_offset_ms, options.start_frame) == (5.0, 3)
    assert rooms.asked["workspace"].folder == tmp_path / "data" / "jobs" / "two"
    with pytest.raises(AvatarExists):
        worker(tmp_path, rooms := Rooms(AvatarExists("taken"))).do(MAKING, ignore)
    request = rooms.asked["request"]
    assert (request.id, request.filename, request.options.face) == ("anna", "a.mp4", "left")
    assert (request.options.pads[1], request.options.smoothing) == (0.05, 0.2)


class Segments:
    """Stands in for an open render whose segments are encoded one after another."""

    def __init__(self, workspace: Workspace, worker: Worker) -> None:
        self.workspace, self.worker = workspace, worker
        self.segments = [Segment(index, 10 * index, 10, index == 3) for index in range(4)]
        self.is_begun, self.duration, self.notices = True, 1.6, list[Notice]()
        self.maker = SimpleNamespace(avatar=SimpleNamespace(deep=None, manifest=SimpleNamespace(warnings=[])))
        self.during: Callable[[int], None] = lambda _: None
        workspace.segments.mkdir(parents=True)

    def encode(self, segments: list[Segment], progress: Progress) -> None:
        done = 0
        for segment in segments:
            for _ in range(segment.frame_count):
                progress(done, 40)
                done += 1
            self.during(segment.index)
            self.workspace.fragment(segment.index).write_bytes(b"")

    def join(self, alive: Callable[[], object]) -> None:
        self.workspace.result.write_bytes(b"film")

    def heard_notices(self) -> list[Notice]:
        return []

    def report(self, frames: int, seconds: float) -> SimpleNamespace:
        return SimpleNamespace(stage_seconds={"model": 1.0})


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    """A render of four segments that the worker has open."""
    made = worker(tmp_path, Rooms(NotAudio("unused")))
    render = Segments(Workspace(tmp_path / "two"), made)
    made._workshop = SimpleNamespace(  # type: ignore[assignment]
        renderer=SimpleNamespace(open=lambda *_: nullcontext(render))
    )
    return render


def test_a_worker_that_gives_way_ends_with_a_segment_and_says_which_are_there(segments: Segments) -> None:
    segments.during = lambda index: segments.worker.give_way() if index == 1 else None
    call = replace(RENDERING, method="encode", segments=(0, 1, 2, 3))
    answer = segments.worker.do(call, ignore)
    assert answer["segments"] in ([0, 1], [0, 1, 2])
    assert answer["frames_made"] == 10 * len(answer["segments"])
    assert segments.worker.do(call, ignore)["segments"] == [0, 1, 2, 3]


def test_each_answer_tells_of_the_time_since_the_last_one(segments: Segments) -> None:
    call = replace(RENDERING, method="encode", segments=(0,))
    assert segments.worker.do(call, ignore)["stage_seconds"] == {"model": 1.0}
    assert segments.worker.do(call, ignore)["stage_seconds"] == {"model": 0.0}
    assert noted_stages(segments.workspace.stages) == {"model": 1.0}


def test_a_render_can_be_joined_once_more_as_long_as_its_end_is_not_on_record(
    segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "_report", lambda *_: None)
    segments.worker.do(replace(RENDERING, method="encode", segments=(0, 1, 2, 3)), ignore)
    segments.worker.do(replace(RENDERING, method="finish"), ignore)
    assert segments.workspace.result.exists()
    assert all(segments.workspace.fragment(index).exists() for index in range(4))


def test_a_worker_that_is_stopped_raises(segments: Segments) -> None:
    segments.during = lambda index: segments.worker.stop()
    with pytest.raises(JobCanceled):
        segments.worker.do(replace(RENDERING, method="encode", segments=(0, 1, 2, 3)), ignore)
    assert not segments.workspace.fragment(2).exists()


def test_a_worker_that_differs_from_the_one_that_prepared_refuses(segments: Segments) -> None:
    segments.is_begun = False
    with pytest.raises(MouthpieceError, match="differ in model, encoder or release"):
        segments.worker.do(replace(RENDERING, method="encode", segments=(0,)), ignore)
