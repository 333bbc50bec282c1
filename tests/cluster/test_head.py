"""The head of a cluster as its compose file runs it: one of Ray's processes is killed, and all goes on."""

import os
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.support.ports import free_port
from tests.support.processes import tree
from tests.support.server import Server

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

COMPOSE = Path(__file__).parents[2] / "docker-compose.cluster.yml"


def loop_of(role: str) -> str:
    """Return the shell loop of the compose file's head, for any role, without the service beside it."""
    command: str = yaml.safe_load(COMPOSE.read_text())["services"]["web"]["command"][-1]
    loop, _ = command.split(" & exec ")
    return loop.replace("mouthpiece head", shlex.join([sys.executable, "-m", "app.cli", role]))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A service beside a head and a worker that are started again whenever they end."""
    settings = {"RAY_ADDRESS": f"127.0.0.1:{free_port()}", "DEVICE": "cpu"}
    server = Server(tmp_path, settings)
    loops = [server.spawn("sh", "-c", loop_of(role)) for role in ("head", "worker")]
    try:
        server.start(wait=False)
        server.wait(lambda: server.get("/readyz") == 200, 300)
        yield server
    finally:
        server.stop()
        server.client.close()
        for loop in loops:
            end(loop)


def end(loop: "subprocess.Popen[bytes]") -> None:
    loop.send_signal(signal.SIGSTOP)  # so that it starts nothing meanwhile
    for pid in reversed(tree(loop.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    loop.wait()


def of_head(server: Server, program: str) -> int:
    """Return the process of the head's that runs a program of Ray's."""
    port = server.settings["RAY_ADDRESS"].rpartition(":")[2].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            ours = port in command and command.split(b"\0")[0].endswith(f"/{program}".encode())
            if ours and (program == "gcs_server" or b"--head" in command):
                return int(folder.name)
    raise LookupError(program)


@pytest.mark.parametrize("program", ["gcs_server", "raylet"])
def test_a_process_of_the_head_that_dies_takes_no_job_with_it(
    server: Server, video: Path, speech: Callable[[float], Path], program: str
) -> None:
    files = {"video": video.read_bytes()}
    server.client.post("/v1/avatars", data={"id": "anna"}, files=files).raise_for_status()
    answer = server.client.post(
        "/v1/avatars/anna/renders",
        data={"quality": "draft", "fps": "8"},
        files={"audio": speech(40.0).read_bytes()},
        headers={"Prefer": "respond-async"},
    )
    job_id = answer.json()["id"]
    segments = server.data_dir / "jobs" / job_id / "segments"
    server.wait(lambda: list(segments.glob("*.m4s")))
    os.kill(of_head(server, program), signal.SIGKILL)
    server.wait(lambda: server.get("/readyz") == 503, 300)
    server.wait(lambda: server.get("/readyz") == 200, 300)
    job = server.outcome(job_id, 300)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    with sqlite3.connect(server.data_dir / "jobs.sqlite3") as table:
        assert table.execute("SELECT deaths FROM jobs WHERE id = ?", (job_id,)).fetchone() == (0,)
