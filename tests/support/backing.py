"""A RabbitMQ and a PostgreSQL of the tests' own, on free ports of the loopback, from Debian's packages."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import psycopg
from amqp.exceptions import AMQPError
from kombu import Connection

from tests.support.ports import free_port

START_SECONDS: Final = 90.0
"""How long either may take to start; both need a second or two where nothing else runs."""

_RABBITMQ: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_VIRTUAL_HOSTS: Final = 24
HEARTBEAT_SECONDS: Final = 5
"""What the broker wants; both sides agree on the smaller value."""


def missing() -> str | None:
    """Say why there can be no services, or None if there can."""
    if not _RABBITMQ.exists():
        return "RabbitMQ is not installed: apt-get install rabbitmq-server"
    if _postgres() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.getuid() == 0 and not shutil.which("runuser"):
        return "PostgreSQL does not run as root, and there is no runuser"
    return None


def _postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest if there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class Postgres:
    """A PostgreSQL that can be stopped and started again."""

    def __init__(self, root: Path) -> None:
        self._programs = _postgres() or Path()
        self._folder = root / "postgres"
        self._folder.mkdir()
        self.port = free_port()
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-l", log, "-o", options, "-w", "-t", "90", "start")

    def stop(self) -> None:
        """Stop it as a restart of the machine would: connections are cut."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop")

    def create(self, name: str) -> str:
        """Return the address of a new, empty database."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=2 * START_SECONDS)


class RabbitMq:
    """A RabbitMQ that can be stopped and started again, with virtual hosts to be handed out."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "rabbitmq"
        self._folder.mkdir()
        self.port = free_port()
        self._names = [f"service{number}" for number in range(_VIRTUAL_HOSTS)]
        self._free = list(self._names)
        (self._folder / "rabbitmq.conf").write_text(
            f"heartbeat = {HEARTBEAT_SECONDS}\nload_definitions = {self._folder}/definitions.json\n"
        )
        (self._folder / "definitions.json").write_text(json.dumps(self._definitions()))
        self._process: subprocess.Popen[bytes]
        self.start()

    def _definitions(self) -> dict[str, Any]:
        every = {"configure": ".*", "write": ".*", "read": ".*"}
        user = {"name": "tests", "password": "tests", "tags": ""}
        return {
            "users": [user],
            "vhosts": [{"name": name} for name in self._names],
            "permissions": [{"user": "tests", "vhost": name} | every for name in self._names],
        }

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        return os.environ | {
            "HOME": str(self._folder),
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"mouthpiece-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        """Start it, and wait until it takes connections to all virtual hosts."""
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(_RABBITMQ)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < end, (self._folder / "output").read_text()
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it as a restart of its machine would."""
        self._process.terminate()
        self._process.wait(timeout=START_SECONDS)

    def vhost(self) -> str:
        """Return the address of a virtual host that nobody has used."""
        return self._url(self._free.pop())

    def _url(self, name: str) -> str:
        return f"amqp://tests:tests@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        try:
            with Connection(self._url(self._names[-1]), connect_timeout=2) as connection:
                connection.connect()
        except (OSError, AMQPError):
            return False
        return True

    def end(self) -> None:
        """Stop it for good, and the name server that it has started."""
        self.stop()
        epmd = shutil.which("epmd") or "epmd"
        subprocess.run([epmd, "-kill"], env=self._environment, capture_output=True)


class Backing:
    """Both, for one run of the tests."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="mouthpiece-backing-"))
        self._root.chmod(0o755)
        self.database = Postgres(self._root)
        self.broker = RabbitMq(self._root)
        self._count = 0

    def settings(self) -> dict[str, str]:
        """Return the settings of a service that shares nothing with any other."""
        self._count += 1
        name = f"service{self._count}"
        return {"DATABASE_URL": self.database.create(name), "BROKER_URL": self.broker.vhost()}

    def stop(self) -> None:
        """Stop both and delete what they kept."""
        self.broker.end()
        self.database.stop()
        shutil.rmtree(self._root, ignore_errors=True)
