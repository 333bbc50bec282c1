"""Ports for the servers of the tests."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

FIRST: Final = 20_000
"""Below it are those that Ray gives its workers."""
RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port that nobody listens on, and that the system gives nobody who asks for just any.

    So it is still free when a server takes it seconds later, whatever other tests do meanwhile.
    """
    above = int(RANGE.read_text().split()[0]) if RANGE.exists() else 0
    wanted = [FIRST + secrets.randbelow(above - FIRST) for _ in range(100)] if above > FIRST else []
    for port in (*wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise OSError("no port is free")
