"""A PostgreSQL of the tests' own, on a free port of the loopback, from Debian's packages."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import psycopg

from tests.support.ports import free_port

START_SECONDS: Final = 90.0
"""How long it may take to start; it needs a second or two where nothing else runs."""


def missing() -> str | None:
    """Say why there can be no PostgreSQL, or None if there can."""
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
