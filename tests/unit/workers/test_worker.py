import errno
import re
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

import av
import pytest
from structlog.testing import capture_logs

from app.avatars.store import AvatarStore
from app.decoding.apart import DecoderApart
from app.decoding.process import DecoderDied, DecoderStalled
from app.errors import (
    AvatarDeleted,
    AvatarExists,
    AvatarNotFound,
    MouthpieceError,
    NotAudio,
    StorageFull,
)
from app.jobs.pool import Call
from app.media.timing import Segment
from app.notices import Notice
from app.progress import Progress
from app.rendering.stages import StageSeconds, noted_stages
from app.rendering.workspace import Workspace
from app.settings import Settings
from app.workers import worker as workers
from app.workers.child import Mailbox, as_error
from app.workers.messages import Message
from app.workers.worker import Worker
from app.workshop import Workshop
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.oddities import put_odd

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
    return made(tmp_path, SimpleNamespace(builder=rooms, renderer=rooms))


def made(tmp_path: Path, workshop: Any) -> Worker:
    return Worker(Settings(data_dir=tmp_path / "data", avatars_dir=tmp_path / "avatars"), workshop)


def store_avatar(tmp_path: Path, job: str | None) -> None:
    manifest = replace(made_up_manifest("anna", frame_count=50), fps=Fraction(25), job=job)
    put_made_up(AvatarStore(tmp_path / "avatars"), manifest)


def ignore(done: int, total: int) -> None:
    pass


def never() -> bool:
    return False


def answer(worker: Worker, call: Call) -> Message:
    mailbox = Mailbox(lambda message: None)
    mailbox.hear({"call": vars(call)})
    return mailbox.answer(worker)


def test_the_networks_of_the_first_video_are_compiled_once_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleQueue[str]()
    infer = SimpleNamespace(warm_up=partial(done.put, "model"), info=SimpleModel("cpu"))
    workshop = SimpleNamespace(infer=infer, renderer=SimpleNamespace(encoder="x264"))
    monkeypatch.setattr(Workshop, "open", lambda settings, decoder: workshop)
    monkeypatch.setattr(DecoderApart, "load", lambda self: None)
    monkeypatch.setattr(workers, "compile_networks", partial(done.put, "networks"))
    settings = Settings(data_dir=tmp_path / "data", avatars_dir=tmp_path / "avatars")
    loaded = Worker.load(settings, None)  # type: ignore[arg-type]
    assert loaded.model["device"] == "cpu"
    assert [done.get(timeout=60) for _ in range(2)] == ["model", "networks"]


def test_an_avatar_that_an_attempt_finished_before_it_died_counts_as_made(tmp_path: Path) -> None:
    store_avatar(tmp_path, job=MAKING.job_id)
    answer = worker(tmp_path, Rooms(AvatarExists("taken"))).do(MAKING, ignore, never)
    assert (answer["frames_made"], answer["media_seconds"]) == (50, 2.0)


@pytest.mark.parametrize("job", ["another", None])
def test_an_avatar_that_is_not_the_job_s_own_does_not(tmp_path: Path, job: str | None) -> None:
    store_avatar(tmp_path, job)
    with pytest.raises(AvatarExists):
        worker(tmp_path, Rooms(AvatarExists("taken"))).do(MAKING, ignore, never)


@pytest.mark.parametrize("failure", [AvatarNotFound("gone"), FileNotFoundError("gone")])
def test_a_render_whose_avatar_was_deleted_says_so(tmp_path: Path, failure: Exception) -> None:
    with pytest.raises(AvatarDeleted):
        worker(tmp_path, Rooms(failure)).do(RENDERING, ignore, never)


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
    failed = answer(worker(tmp_path, Rooms(failure)), RENDERING)["failed"]
    assert failed["type"] == error("").problem()["type"]
    assert "secret" not in failed["detail"]


@pytest.mark.parametrize(
    ("error", "stalled"), [(DecoderDied("was ended"), False), (DecoderStalled("stalled"), True)]
)
def test_the_death_of_a_decoder_is_told_as_a_death_and_the_worker_lives(
    tmp_path: Path, error: DecoderDied, stalled: bool
) -> None:
    dying = worker(tmp_path, Rooms(error))
    for _ in range(2):
        assert answer(dying, RENDERING) == {"died": str(error), "stalled": stalled}


def test_what_a_call_held_is_let_go_as_soon_as_it_has_failed(tmp_path: Path) -> None:
    class Holding(Rooms):
        def build(self, request: object, progress: object) -> None:
            frames = set[object]()
            self.held = ref(frames)
            raise NotAudio("text")

    rooms = Holding(NotAudio("another"))
    assert "failed" in answer(worker(tmp_path, rooms), MAKING)
    assert rooms.held() is None


def test_a_stop_that_comes_with_its_call_is_heard(tmp_path: Path) -> None:
    whole, mailbox = worker(tmp_path, Rooms(NotAudio("text"))), Mailbox(lambda message: None)
    for message in ({"stop": True}, {"call": vars(RENDERING)}):
        mailbox.hear(message)
    assert "failed" in mailbox.answer(whole)
    for message in ({"call": vars(RENDERING)}, {"stop": True}, {"give_way": True}):
        mailbox.hear(message)
    assert mailbox.answer(whole) == {"left": "stopped"}


def test_a_jobs_parameters_reach_the_rooms(tmp_path: Path) -> None:
    store_avatar(tmp_path, None)
    rooms = Rooms(NotAudio("text"))
    with pytest.raises(NotAudio):
        worker(tmp_path, rooms).do(RENDERING, ignore, never)
    request = rooms.asked["request"]
    assert (request.avatar_id, request.audio) == ("anna", tmp_path / "data" / "jobs" / "two" / "upload")
    options = request.options
    assert (options.fps, options.quality, options.loop) == (Fraction(30000, 1001), "high", "restart")
    assert (options.mouth_offset_ms, options.start_frame) == (5.0, 3)
    assert rooms.asked["workspace"].folder == tmp_path / "data" / "jobs" / "two"
    with pytest.raises(AvatarExists):
        worker(tmp_path, rooms := Rooms(AvatarExists("taken"))).do(MAKING, ignore, never)
    request = rooms.asked["request"]
    assert (request.id, request.filename, request.options.face) == ("anna", "a.mp4", "left")
    assert (request.options.pads[1], request.options.smoothing) == (0.05, 0.2)


def test_a_report_that_would_be_no_json_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "data" / "jobs" / "one").mkdir(parents=True)
    found = SimpleNamespace(as_dict=lambda: {"sharpness": float("nan")})
    builder = SimpleNamespace(examine=lambda *_: found)
    with pytest.raises(ValueError, match="not JSON compliant"):
        made(tmp_path, SimpleNamespace(builder=builder)).check(MAKING, ignore)
    assert not list(tmp_path.rglob("*.json"))


class Segments:
    """Stands in for an open render whose segments are encoded one after another."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.segments = [Segment(index, 10 * index, 10, index == 3) for index in range(4)]
        self.is_begun, self.duration, self.notices = True, 1.6, list[Notice]()
        avatar = SimpleNamespace(deep=None, manifest=SimpleNamespace(warnings=[]))
        self.maker = SimpleNamespace(avatar=avatar, seconds=StageSeconds(model=1.0))
        self.during: Callable[[int], None] = lambda _: None
        self.worker: Worker
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

    def last_notices(self) -> list[Notice]:
        return []


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    """A render of four segments that the worker has open."""
    render = Segments(Workspace(tmp_path / "two"))
    renderer = SimpleNamespace(open=lambda *_: nullcontext(render))
    render.worker = made(tmp_path, SimpleNamespace(renderer=renderer))
    return render


def test_a_worker_that_gives_way_ends_with_a_segment_and_says_which_are_there(segments: Segments) -> None:
    encoded = list[int]()
    segments.during = encoded.append
    call = replace(RENDERING, method="encode", segments=(0, 1, 2, 3))
    answer = segments.worker.do(call, ignore, lambda: 1 in encoded)
    assert answer["segments"] in ([0, 1], [0, 1, 2])
    assert answer["frames_made"] == 10 * len(answer["segments"])
    assert segments.worker.do(call, ignore, never)["segments"] == [0, 1, 2, 3]


def test_each_answer_tells_of_the_time_since_the_last_one(segments: Segments) -> None:
    call = replace(RENDERING, method="encode", segments=(0,))
    assert segments.worker.do(call, ignore, never)["stage_seconds"]["model"] == 1.0
    assert segments.worker.do(call, ignore, never)["stage_seconds"]["model"] == 0.0
    assert noted_stages(segments.workspace.stages)["model"] == 1.0


def test_a_render_can_be_joined_once_more_as_long_as_its_end_is_not_on_record(
    segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "_report", lambda *_: None)
    segments.worker.do(replace(RENDERING, method="encode", segments=(0, 1, 2, 3)), ignore, never)
    segments.worker.do(replace(RENDERING, method="finish"), ignore, never)
    assert segments.workspace.result.exists()
    assert all(segments.workspace.fragment(index).exists() for index in range(4))


def test_a_worker_that_is_stopped_says_so(segments: Segments) -> None:
    mailbox = Mailbox(lambda message: None)
    segments.during = lambda index: mailbox.hear({"stop": True})
    mailbox.hear({"call": vars(replace(RENDERING, method="encode", segments=(0, 1, 2, 3)))})
    assert mailbox.answer(segments.worker) == {"left": "stopped"}
    assert not segments.workspace.fragment(2).exists()


def test_a_worker_that_differs_from_the_one_that_prepared_refuses(segments: Segments) -> None:
    segments.is_begun = False
    with pytest.raises(MouthpieceError, match="differ in model, encoder or release"):
        segments.worker.do(replace(RENDERING, method="encode", segments=(0,)), ignore, never)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_volume_that_is_full_is_no_fault_of_ours(number: int) -> None:
    """Some of what is written is written by FFmpeg, whose errors have no class of ours."""
    with capture_logs() as logs:
        error = as_error(OSError(number, "No space left on device", "out.mov"), "a")
    assert (error.status, error.code) == (507, "storage-full")
    (said,) = logs
    assert (said["event"], said["code"]) == ("job_refused", "storage-full")
    assert "out.mov" in said["error"]
    assert "exc_info" not in said


def test_something_odd_in_the_place_of_a_file_is_said_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    put_odd(tmp_path / "loop", "loop")
    attempts: dict[str, Callable[[], object]] = {
        "folder": (tmp_path / "folder").read_bytes,
        "below": (tmp_path / "file" / "below").read_bytes,
        "loop": (tmp_path / "loop").read_bytes,
        "target": lambda: (tmp_path / "file").rename(tmp_path / "target"),
    }
    (tmp_path / "target").mkdir()
    for name, attempt in attempts.items():
        with pytest.raises(OSError, match=re.escape(str(tmp_path))) as failed:
            attempt()
        error = as_error(failed.value, "a")
        assert (error.status, error.code) == (507, "storage-damaged")
        assert f"in the place of '{name}'" in error.detail
    with pytest.raises(OSError, match="Is a directory") as failed:
        av.open(str(tmp_path / "folder"))
    assert "in the place of 'folder'" in as_error(failed.value, "a").detail


def test_what_should_not_have_come_about_is_logged_whole() -> None:
    with capture_logs() as logs:
        error = as_error(OSError(errno.ENOENT, "No such file", "out.mov"), "a")
    assert (error.status, logs[0]["event"], "exc_info" in logs[0]) == (500, "job_broke", True)
