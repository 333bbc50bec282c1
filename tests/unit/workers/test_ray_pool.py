"""The pool of a cluster, with a driver that pretends: it says at once what a scripted one would."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.jobs.pool import Call, WorkerLeft
from app.settings import Settings
from tests.support.waiting import until

pytest.importorskip("ray")
from app.workers import ray_pool
from app.workers.member import Watchdog
from app.workers.ray_pool import SILENT_SECONDS, RayPool

pytestmark = pytest.mark.anyio

DRIVER = """
import json, os, sys, time
start = json.loads(sys.stdin.readline())
for message in json.loads(sys.argv[1]):
    if "environment" in message:
        message = {"worker": "a", "ready": dict(os.environ) | {"marks": start["marks"]}}
    print(json.dumps(message), flush=True)
if sys.argv[2] == "ends":
    sys.exit()
while sys.argv[2] == "says that it is alive":
    print(json.dumps({"alive": True}), flush=True)
    time.sleep(0.1)
for line in sys.stdin:
    if sys.argv[2] == "ends when it hears something":
        sys.exit()
"""
MODEL = {"sha256": "ab", "encoder": "libx264"}
CONNECTED: dict[str, Any] = {"connected": True}
READY = {"worker": "a", "ready": MODEL, "host": "one"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Run a pool whose driver says some messages, ``then`` waits or ends."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    head = await asyncio.start_server(hang_up, "127.0.0.1")
    address = "{}:{}".format(*head.sockets[0].getsockname())
    folders = {"data_dir": tmp_path / "data", "avatars_dir": tmp_path / "avatars"}

    @asynccontextmanager
    async def start(
        *messages: dict[str, Any], then: str = "waits", changed: Callable[[], None] = lambda: None
    ) -> AsyncIterator[RayPool]:
        settings = Settings(**folders, ray_address=address, log_level="error")  # type: ignore[arg-type]
        pool = RayPool(settings, command=(sys.executable, "-c", DRIVER, json.dumps(messages), then))
        await pool.start(changed)
        try:
            yield pool
        finally:
            await pool.stop()

    async with head:
        yield start


async def test_ray_is_told_to_use_the_token_and_nothing_of_the_service(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("MOUTHPIECE_API_KEYS", "secret")
    async with start(CONNECTED, {"environment": True}) as pool:
        await until(lambda: pool.size)
        assert pool.model["RAY_AUTH_MODE"] == "token"
        assert not any(name.startswith("MOUTHPIECE") for name in pool.model)
        assert pool.model["marks"].keys() == {"data_dir", "avatars_dir"}


async def test_a_volume_that_cannot_be_marked_keeps_no_worker_away(start: Start, tmp_path: Path) -> None:
    (tmp_path / "avatars").write_text("A file, for to the administrator no folder is read-only.")
    async with start(CONNECTED, {"environment": True}) as pool:
        await until(lambda: pool.size)
        assert pool.model["marks"].keys() == {"data_dir"}


async def test_a_cluster_that_is_joined_is_told_of_so_that_workers_are_wished_for(start: Start) -> None:
    told: list[bool] = []
    async with start(CONNECTED, changed=lambda: told.append(True)):
        await until(lambda: bool(told))


async def test_a_driver_that_falls_silent_is_replaced(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(ray_pool, "AGAIN_SECONDS", 0.05)
    async with start(CONNECTED, READY) as pool:
        await until(lambda: pool.size)
        first = pool.processes["driver"].pid
        await until(lambda: "driver" in pool.processes and pool.processes["driver"].pid != first)
        assert pool.restarts == 0


async def test_the_silence_of_a_driver_is_counted_anew_whenever_it_says_that_it_is_alive(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how often the count begins, not by the clock: on a busy machine, a driver is silent for a while."""
    begun: list[float] = []

    class Counted(Watchdog):
        def __init__(self, seconds: float) -> None:
            super().__init__(seconds)
            begun.append(seconds)

    monkeypatch.setattr("app.workers.pool.Watchdog", Counted)
    async with start(CONNECTED, then="says that it is alive") as pool:
        await until(lambda: begun.count(SILENT_SECONDS) > 3)
        assert begun[0] == ray_pool.CONNECT_SECONDS
        assert set(begun[1:]) == {SILENT_SECONDS}
        assert pool.processes.keys() == {"driver"}


async def test_a_cluster_that_does_not_let_the_service_in_is_said_in_a_sentence(start: Start) -> None:
    async with start({"refused": "InvalidAuthToken"}, then="ends") as pool:
        await until(lambda: "does not let this service in (InvalidAuthToken)" in pool.status)
        assert "RAY_AUTH_TOKEN" in pool.status


async def test_a_cluster_that_does_not_answer_is_waited_for_so_long(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "CONNECT_SECONDS", 0.5)
    async with start() as pool:
        await until(lambda: "does not let this service in (no answer)" in pool.status)


async def test_a_driver_that_ends_before_it_has_joined_is_not_taken_for_a_wrong_token(start: Start) -> None:
    async with start(then="ends") as pool:
        await until(lambda: "is to join the cluster" in pool.status)
        assert "ended with status 0; the service's log says why" in pool.status
        assert "token" not in pool.status
    async with start() as pool:
        pool._command = ["/nothing/there"]
        await until(lambda: "could not be started (No such file or directory)" in pool.status)


async def test_a_worker_that_cannot_load_its_model_is_said_and_others_go_on(start: Start) -> None:
    problem = {"type": "x", "title": "x", "status": 503, "detail": "There is no model on two."}
    async with start(CONNECTED, {"worker": "b", "unusable": problem}) as pool:
        await until(lambda: pool.status == "There is no model on two.")
        assert pool.unusable
    async with start(CONNECTED, {"worker": "b", "unusable": problem}, READY) as pool:
        await until(lambda: pool.size == 1)
        assert not pool.unusable


async def test_what_is_wrong_with_a_model_is_said_until_another_worker_has_loaded_it(start: Start) -> None:
    problem = {"type": "x", "title": "x", "status": 503, "detail": "There is no model on two."}
    unusable, ended = (
        {"worker": "b", "unusable": problem},
        {"worker": "b", "gone": True, "died": "ended with status 0"},
    )
    async with start(CONNECTED, unusable, ended | {"pause": 15.0}) as pool:
        await until(lambda: pool.restarts)
        assert (pool.status, pool.unusable, pool.size) == (problem["detail"], True, 0)
    async with start(CONNECTED, unusable, ended, READY) as pool:
        await until(lambda: pool.size)
        assert (pool.status, pool.unusable) == ("", False)


async def test_a_worker_that_differs_from_the_others_is_refused_and_named(start: Start) -> None:
    other = {"worker": "b", "ready": MODEL | {"encoder": "h264_nvenc"}}
    async with start(CONNECTED, READY, other) as pool:
        await until(lambda: "The worker b has another model, encoder or release" in pool.status)
        assert pool.size == 1


async def test_a_worker_that_ends_before_it_is_ready_is_said(start: Start) -> None:
    async with start(
        CONNECTED, {"worker": "a", "gone": True, "died": "did not become ready in time, and was ended"}
    ) as pool:
        await until(lambda: "A worker did not become ready in time" in pool.status)
        assert pool.restarts == 0


@pytest.mark.parametrize(
    ("pause", "again"), [(15.0, "started after 15 seconds"), (0.0, "being started, try again in a few")]
)
async def test_when_another_worker_is_started_is_said(start: Start, pause: float, again: str) -> None:
    async with start(
        CONNECTED, {"worker": "a", "gone": True, "died": "ended unexpectedly", "pause": pause}
    ) as pool:
        await until(lambda: f"A worker ended unexpectedly; another one is {again}" in pool.status)


async def test_what_a_worker_says_that_is_gone_does_no_harm(start: Start) -> None:
    late = {"worker": "a", "answer": {"segments": [0]}}
    gone = {"worker": "a", "gone": True, "died": "was lost with its machine"}
    async with start(CONNECTED, READY, gone, late, READY | {"worker": "b"}) as pool:
        await until(lambda: list(pool.members) == ["b"])
        assert (pool.idle, pool.restarts) == (1, 1)


async def test_a_worker_whose_machine_leaves_is_given_nothing_more(start: Start) -> None:
    async with start(CONNECTED, READY, READY | {"worker": "b"}, {"worker": "a", "leaving": True}) as pool:
        await until(lambda: [name for name, member in pool.members.items() if member.idle] == ["b"])
        assert pool.size == 1


async def test_a_call_is_given_back_when_the_cluster_is_lost(start: Start) -> None:
    async with start(CONNECTED, READY, then="ends when it hears something") as pool:
        await until(lambda: pool.size)
        with pytest.raises(WorkerLeft):
            await pool.call(Call("encode", "one", "anna", segments=(0,)), lambda _done, _total: None)
