import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import InvalidRequest
from app.jobs.pool import Call, CallFailed, WorkerDied, WorkerLeft
from app.settings import Settings
from app.workers import local
from app.workers.join import check_token, join
from app.workers.local import LocalPool, Slot, slots_of
from app.workers.member import Timeouts, Watchdog, difference
from app.workers.messages import Message, from_line, to_line
from app.workers.pool import MemberPool
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MODEL = {"name": "m", "sha256": "ab", "encoder": "libx264", "mouth_offset_ms": 0.0, "reference": "frame"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Pool(MemberPool):
    """A pool whose members do nothing; it notes what they are sent."""

    def __init__(self, *models: Mapping[str, Any]) -> None:
        super().__init__(Settings(), timeouts=Timeouts(stall=1.0, stop=0.05))
        self.sent: list[tuple[str, Message]] = []
        self.ended: list[str] = []
        for index, model in enumerate(models):
            self._hear(f"worker-{index}", {"ready": model})

    def _tell(self, name: str, message: Message) -> None:
        if "end" in message:
            self.ended.append(name)
        else:
            self.sent.append((name, message))

    def say(self, message: Message, worker: int = 0) -> None:
        """Have a worker say something."""
        self._hear(f"worker-{worker}", message)


def call(job_id: str = "one") -> Call:
    return Call("encode", job_id, "anna", segments=(0, 1))


def ignore(done: int, total: int) -> None:
    pass


async def test_a_call_goes_to_the_worker_that_has_the_job_open() -> None:
    pool = Pool(MODEL, MODEL)
    for member, job_id in zip(pool.members.values(), ("other", "one"), strict=True):
        member.job = job_id
    answer = asyncio.create_task(pool.call(call(), ignore))
    assert pool.sent[0][0] == "worker-1"
    assert pool.idle == 1
    pool.say({"answer": {"segments": [0]}}, worker=1)
    assert await answer == {"segments": [0]}
    assert pool.idle == 2


async def test_a_call_that_nobody_can_take_is_refused() -> None:
    with pytest.raises(LookupError):
        await Pool().call(call(), ignore)


async def test_what_ends_a_call_is_told_apart() -> None:
    pool = Pool(MODEL)
    problem = InvalidRequest("No.").problem()
    for message, error in (({"failed": problem}, CallFailed), ({"left": "stopped"}, WorkerLeft)):
        answer = asyncio.create_task(pool.call(call(), ignore))
        pool.say(message)
        with pytest.raises(error):
            await answer
    answer = asyncio.create_task(pool.call(call(), ignore))
    pool.say({"died": "was ended by SIGSEGV"})
    with pytest.raises(WorkerDied, match="SIGSEGV"):
        await answer
    assert pool.size == 1  # that was its decoder
    answer = asyncio.create_task(pool.call(call(), ignore))
    pool.say({"gone": True, "died": "was ended by SIGKILL"})
    with pytest.raises(WorkerDied, match="SIGKILL"):
        await answer
    assert pool.size == 0


async def test_an_answer_is_one_though_its_worker_ended_right_after_it() -> None:
    pool = Pool(MODEL)
    answer = asyncio.create_task(pool.call(call(), ignore))
    pool.say({"answer": {"segments": [0, 1]}})
    pool.say({"gone": True, "died": "was ended by SIGKILL"})
    assert await answer == {"segments": [0, 1]}
    assert pool.size == 0


async def test_an_answer_is_one_though_it_comes_with_the_end_of_all_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def late(watchdog: Watchdog, work: asyncio.Future[Message]) -> Message:
        pool.say({"answer": {"segments": [0, 1]}})
        work.cancel()
        raise TimeoutError

    monkeypatch.setattr(Watchdog, "until", late)
    pool = Pool(MODEL)
    assert await pool.call(call(), ignore) == {"segments": [0, 1]}
    assert (pool.idle, pool.ended) == (1, [])


async def test_a_worker_that_makes_no_progress_is_ended_and_one_that_does_is_not() -> None:
    pool, told = Pool(MODEL), list[int]()
    answer = asyncio.create_task(pool.call(call(), lambda done, _: told.append(done)))
    for done in range(6):
        await asyncio.sleep(0.25)
        pool.say({"told": [done, 6]})
    with pytest.raises(WorkerDied, match="stalled") as death:
        await answer
    assert death.value.stalled
    assert told == list(range(6))
    assert pool.ended == ["worker-0"]


async def test_a_worker_that_stood_still_with_the_service_has_not_stalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.workers.member.STEP_SECONDS", 0.4)
    pool = Pool(MODEL)
    answer = asyncio.create_task(pool.call(call(), ignore))
    await asyncio.sleep(0)
    time.sleep(1.5 * pool._timeouts.stall)  # noqa: ASYNC251 - as if all processes stood still
    await asyncio.sleep(0.1)
    pool.say({"answer": {"segments": [0]}})
    assert await answer == {"segments": [0]}


async def test_a_worker_that_joins_a_result_may_be_silent_for_longer() -> None:
    pool = Pool(MODEL)
    pool._timeouts = Timeouts(stall=0.05)
    answer = asyncio.create_task(pool.call(Call("finish", "one", "anna"), ignore))
    await asyncio.sleep(0.2)
    pool.say({"answer": {}})
    assert await answer == {}


async def test_a_canceled_call_ends_when_its_worker_has_stopped() -> None:
    pool = Pool(MODEL)
    answer = asyncio.create_task(pool.call(call(), ignore))
    await asyncio.sleep(0)
    answer.cancel()
    await asyncio.sleep(0)
    assert not answer.done()
    assert pool.sent[-1][1] == {"stop": True}
    pool.say({"left": "stopped"})
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert (pool.idle, pool.ended) == (1, [])


async def test_a_worker_that_does_not_hear_a_cancel_is_ended() -> None:
    pool = Pool(MODEL)
    answer = asyncio.create_task(pool.call(call(), ignore))
    await asyncio.sleep(0)
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert (pool.size, pool.ended) == (0, ["worker-0"])


async def test_what_a_worker_says_after_it_was_given_up_does_no_harm() -> None:
    pool = Pool(MODEL)
    pool.say({"gone": True, "left": "was lost"})
    pool.say({"answer": {"segments": [0]}})
    assert (pool.size, pool.idle) == (0, 0)


FLOODING = """
import json, pathlib, sys
sys.stdin.readline()
print(json.dumps({"ready": {}}), flush=True)
before = pathlib.Path(sys.argv[1])
if not before.exists():
    before.touch()
    print("x" * (2 << 20), end="", flush=True)
sys.stdin.read()
"""


async def test_a_worker_whose_words_have_no_end_is_replaced(tmp_path: Path) -> None:
    command = (sys.executable, "-c", FLOODING, str(tmp_path / "before"))
    pool = LocalPool(Settings(device="cpu", data_dir=tmp_path, log_level="error"), command=command)
    await pool.start(lambda: None)
    await until(lambda: pool.restarts == 1 and pool.size == 1)
    await pool.stop()


HALF_BROKEN = """
import json, sys
name = json.loads(sys.stdin.readline())["name"]
if name == "worker-0" or len(sys.argv) > 1:
    print(json.dumps({"unusable": {"detail": "There is no model."}}), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("broken", [1, 2])
async def test_jobs_are_taken_as_long_as_a_worker_that_loads_may_do_them(tmp_path: Path, broken: int) -> None:
    settings = Settings(device="cpu", workers=2, data_dir=tmp_path, log_level="error")
    command = (sys.executable, "-c", HALF_BROKEN, *(["both"] if broken == 2 else []))
    pool = LocalPool(settings, command=command)
    await pool.start(lambda: None)
    await until(lambda: len(pool.problems) == broken)
    assert (pool.status, pool.size, pool.unusable) == ("There is no model.", 0, broken == 2)
    await pool.stop()


@pytest.mark.parametrize(("key", "value"), [("sha256", "cd"), ("encoder", "h264_nvenc"), ("version", "9.9")])
def test_a_worker_with_another_model_encoder_or_release_is_refused_and_named(key: str, value: str) -> None:
    pool = Pool(MODEL, MODEL | {key: value})
    assert (pool.size, pool.unusable) == (1, False)
    assert "worker-1" in pool.status
    assert f"{key} {value} instead of" in pool.status


def test_a_worker_that_was_refused_tries_again_and_is_taken_if_the_others_are_now_like_it() -> None:
    newer = MODEL | {"sha256": "cd"}
    pool = Pool(MODEL, newer, newer)
    assert (pool.size, pool.ended) == (1, ["worker-1", "worker-2"])
    for worker in range(3):
        pool.say({"gone": True, "died": "was ended by SIGKILL"}, worker)
    for worker in (1, 0, 2):
        pool.say({"ready": newer}, worker)
    assert (pool.size, pool.model, pool.status) == (3, newer, "")


CHANGING = """
import json, pathlib, sys
name = json.loads(sys.stdin.readline())["name"]
before = pathlib.Path(sys.argv[1], name)
others = {"worker-0": "worker-1", "worker-1": "worker-0"}
model = others[name] if before.exists() else name
before.touch()
print(json.dumps({"ready": {"sha256": model}}), flush=True)
sys.stdin.read()
"""


async def test_a_worker_that_was_refused_is_started_again_and_taken_if_it_is_now_like_the_other(
    tmp_path: Path,
) -> None:
    pool = LocalPool(
        Settings(device="cpu", workers=2, data_dir=tmp_path, log_level="error"),
        timeouts=Timeouts(longest_delay=0.1),
        command=(sys.executable, "-c", CHANGING, str(tmp_path)),
    )
    await pool.start(lambda: None)
    await until(lambda: len(pool.problems) == 1)
    assert (pool.size, pool.unusable) == (1, False)
    assert "instead of" in pool.status
    await until(lambda: pool.size == 2)
    assert (pool.restarts, pool.status) == (1, "")
    await pool.stop()


def test_workers_on_other_devices_may_work_together() -> None:
    assert difference(MODEL | {"device": "cpu"}, MODEL | {"device": "cuda:1"}) == ""


def test_a_call_survives_its_way_over_a_pipe() -> None:
    given = vars(Call("encode", "one", "anna", {"fps": "25"}, segments=[3, 4]))
    assert vars(Call(**from_line(to_line({"call": given}))["call"])) == given


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(local, "usable_cores", lambda: 4)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("device", "driver", "slots"),
    [
        ("auto", True, [Slot("auto")]),
        ("cuda:0,cuda:2", True, [Slot("cuda:0"), Slot("cuda:2")]),
        ("cpu", False, [Slot("cpu", (0, 2)), Slot("cpu", (1, 3))]),
        ("auto", False, [Slot("auto", (0, 2)), Slot("auto", (1, 3))]),
    ],
)
def test_workers_are_started_on_all_devices_or_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, device: str, driver: bool, slots: list[Slot]
) -> None:
    monkeypatch.setattr(local, "has_cuda_driver", lambda: driver)
    assert slots_of(Settings(device=device, workers=2, model=Path("wav2lip.pth"))) == slots


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("device", "workers", "slots"),
    [
        ("auto", 1, [Slot("auto")]),
        ("auto", 2, [Slot("auto", (0, 2)), Slot("auto", (1, 3))]),
        ("cuda:0,cuda:2", 1, [Slot("cuda:0", (0, 2)), Slot("cuda:2", (1, 3))]),
        ("cuda:1", 3, [Slot("cuda:1", (0, 3)), Slot("cuda:1", (1,)), Slot("cuda:1", (2,))]),
    ],
)
def test_a_model_that_runs_on_the_cpu_has_as_many_workers_as_are_wanted_beside_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, workers: int, slots: list[Slot]
) -> None:
    monkeypatch.setattr(local, "has_cuda_driver", lambda: True)
    (tmp_path / "ear.json").write_text('{"reference": "nearest"}')
    assert slots_of(Settings(device=device, workers=workers, model=tmp_path / "ear.onnx")) == slots


@pytest.mark.usefixtures("machine")
def test_a_card_that_cannot_be_read_is_left_to_the_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "has_cuda_driver", lambda: True)
    (tmp_path / "ear.json").write_text("{")
    assert slots_of(Settings(device="auto", workers=2, model=tmp_path / "ear.onnx")) == [Slot("auto")]


@pytest.mark.parametrize("device", ["gpu", "cuda:0,cpu", "cuda:0,cuda:0", "cuda:", ""])
def test_devices_that_are_none_are_refused(device: str) -> None:
    with pytest.raises(ValidationError, match="device"):
        Settings(device=device)


@pytest.mark.parametrize("address", ["here", "ray://host:10001", "host:", "host:6379/x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        Settings(ray_address=address)


def test_a_cluster_without_a_token_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidRequest, match="RAY_AUTH_TOKEN"):
        check_token()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    check_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(InvalidRequest, match="must be token"):
        check_token()


def test_a_machine_that_is_told_no_head_to_join_says_so_instead_of_running_ray(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MOUTHPIECE_RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("ray was run"))
    with pytest.raises(InvalidRequest, match="MOUTHPIECE_RAY_ADDRESS"):
        join(Settings(device="cpu"))


async def test_what_stood_still_with_the_service_has_not_been_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.workers.member.STEP_SECONDS", 0.4)
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hear() -> str:
        return await said

    heard = asyncio.create_task(Watchdog(1.0).until(hear()))
    await asyncio.sleep(0)
    time.sleep(1.5)  # noqa: ASYNC251 - as if all processes stood still
    await asyncio.sleep(0.1)
    said.set_result("alive")
    assert await heard == "alive"


async def test_what_is_not_heard_is_not_waited_for() -> None:
    gone = asyncio.Event()

    async def hear() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    with pytest.raises(TimeoutError):
        await Watchdog(0.05).until(hear())
    await gone.wait()
