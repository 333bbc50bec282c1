"""What a decoder would do that a file has taken over: run in a process that has entered the sandbox."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from app.sandbox import Sandbox, enter, without_secrets

PTRACE_ATTACH = 16


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
        "write to the code": lambda: Path(__file__).with_suffix(".pwned").write_text("x"),
    }
    attempts |= {f"read {path.name}": path.read_bytes for path in outside}
    attempts |= {f"delete {path.name}": path.unlink for path in outside}
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


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _checked(result: int) -> None:
    if result < 0:
        raise PermissionError(ctypes.get_errno())


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
