"""What a decoder would do that a file has taken over: run in a process that has entered the sandbox."""

import ctypes
import fcntl
import json
import os
import platform
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from app.sandbox import Sandbox, enter, without_secrets

PTRACE_ATTACH = 16
F_SETSIG, TIOCSTI = 10, 0x5412
ARM = platform.machine() == "aarch64"
MQ_OPEN, MQ_UNLINK, INOTIFY_INIT1 = (180, 181, 26) if ARM else (240, 241, 294)
SHMCTL, SEMCTL, MSGCTL = (195, 191, 187) if ARM else (31, 66, 71)


def try_all(inside: Path, outside: list[Path]) -> dict[str, str]:
    """Try everything; return how each attempt ended: ``done``, or the name of the error."""
    parent = os.getppid()
    attempts: dict[str, Callable[[], object]] = {
        "work inside": lambda: (inside / "made").write_text("x"),
        "rename inside": lambda: (inside / "made").rename(inside / "renamed"),
        "run a thread": _run_thread,
        "pair of streams": socket.socketpair,
        "pair of datagrams": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        "keys of the service": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "memory of the service": lambda: os.open(f"/proc/{parent}/mem", os.O_RDONLY),
        "signal to the service": lambda: os.kill(parent, 0),
        "attach to the service": lambda: _checked(
            ctypes.CDLL(None, use_errno=True).ptrace(PTRACE_ATTACH, parent)
        ),
        "internet socket": socket.socket,
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "fork": _fork,
        "program": lambda: subprocess.run(["true"]),
        "home": lambda: list(Path.home().iterdir()),
        "shadow": lambda: Path("/etc/shadow").read_bytes(),
        "limits of the service": lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1)),
        "turns of the service": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        "cores of the service": lambda: os.sched_setaffinity(parent, {0}),
        "signals by a pipe": lambda: _own_pipe(fcntl.F_SETOWN, parent),
        "kill by a pipe": lambda: _own_pipe(F_SETSIG, 9),
        "type on the terminal": lambda: fcntl.ioctl(2, TIOCSTI, b"x"),
        "outlive the service": lambda: _checked(ctypes.CDLL(None, use_errno=True).prctl(1, 0, 0, 0, 0)),
        "queue of messages": lambda: _call(MQ_OPEN, b"/q", os.O_CREAT | os.O_RDWR, 0o600, None),
        "queue of others": lambda: _call(MQ_UNLINK, b"/nobody's"),
        "memory of others": lambda: _call(SHMCTL, -1, 0, None),
        "semaphore of others": lambda: _call(SEMCTL, -1, 0, 0),
        "messages of others": lambda: _call(MSGCTL, -1, 0, None),
        "watch folders": lambda: _call(INOTIFY_INIT1, 0),
        "write to the code": lambda: Path(__file__).with_suffix(".pwned").write_text("x"),
    }
    attempts |= {f"read {path.name}": path.read_bytes for path in outside}
    attempts |= {f"delete {path.name}": path.unlink for path in outside}
    attempts |= {f"empty {path.name}": partial(os.truncate, path, 0) for path in outside}
    attempts |= {f"lock {path.name}": partial(path.chmod, 0) for path in outside}
    attempts |= {f"own {path.name}": partial(os.chown, path, 1, 1) for path in outside}
    attempts |= {f"age {path.name}": partial(os.utime, path, (1, 1)) for path in outside}
    attempts |= {f"mark {path.name}": partial(os.setxattr, path, "user.x", b"x") for path in outside}
    return {name: _outcome(attempt) for name, attempt in attempts.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"


def _run_thread() -> None:
    thread = Thread(target=int)
    thread.start()
    thread.join()


def _own_pipe(command: int, value: int) -> None:
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(reading, command, value)
    finally:
        os.close(reading)
        os.close(writing)


def _call(number: int, *arguments: Any) -> None:
    _checked(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def run(inside: Path, outside: list[Path], sandbox: Sandbox) -> dict[str, str]:
    """Run the payload in a process of its own that has entered ``sandbox``."""
    given = [str(inside), *map(str, outside)]
    plain = {"read": [*map(str, sandbox.read)], "write": [*map(str, sandbox.write)]}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.payload", json.dumps(plain), *given],
        env=without_secrets(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    outcome: dict[str, str] = json.loads(done.stdout)
    return outcome


def main() -> None:
    """Enter the sandbox that the first argument describes, and try everything there."""
    plain = json.loads(sys.argv[1])
    enter(Sandbox(tuple(map(Path, plain["read"])), tuple(map(Path, plain["write"]))))
    json.dump(try_all(Path(sys.argv[2]), [*map(Path, sys.argv[3:])]), sys.stdout)


if __name__ == "__main__":
    main()
