"""Checks of the port and of the cluster. They yield findings and raise nothing."""

import http.client
import importlib.util
import socket
import sys
import urllib.request
from collections.abc import Iterator

from app.doctor.finding import Finding
from app.errors import MouthpieceError
from app.settings import Settings
from app.workers.join import check_token


def port(settings: Settings) -> Iterator[Finding]:
    """Say whether the port is free, or whether Mouthpiece itself has it."""
    place = _place(settings)
    try:
        _bind(settings.host, settings.port)
    except OSError as error:
        failure = error.strerror
    else:
        yield Finding("port", "good", f"{place} is free")
        return
    if _answers(settings):
        yield Finding("port", "good", f"{place}: Mouthpiece is running there")
    else:
        remedy = f"ss -ltnp 'sport = :{settings.port}' shows what to stop; or set MOUTHPIECE_PORT"
        yield Finding("port", "problem", f"{place}: {failure}", remedy)


def _place(settings: Settings) -> str:
    """Return where the service listens, as an address has it: IPv6 in brackets."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _bind(host: str, port: int) -> None:
    """Take a port for a moment, as the service does. Raises ``OSError`` if somebody has it."""
    family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


def _answers(settings: Settings) -> bool:
    """Whether Mouthpiece itself listens on the port: the doctor may run beside it, as in its container."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{_place(settings)}/livez", timeout=2) as answer:
            return bool(answer.read() == b"ok\n")
    except (OSError, http.client.HTTPException):
        return False


def cluster(settings: Settings) -> Iterator[Finding]:
    """Say whether the cluster's head answers, if there is to be one."""
    if settings.ray_address is None:
        return
    if importlib.util.find_spec("ray") is None:
        remedy = f"{sys.executable} -m pip install 'mouthpiece[cluster]'"
        yield Finding("cluster", "problem", "MOUTHPIECE_RAY_ADDRESS is set, but Ray is not installed", remedy)
        return
    try:
        check_token()
    except MouthpieceError as error:
        yield Finding("cluster", "problem", error.detail, "export RAY_AUTH_TOKEN=$(openssl rand -hex 32)")
        return
    try:
        socket.create_connection(settings.ray_head, timeout=3).close()
    except OSError as error:
        found = f"no head responds at {settings.ray_address} ({error})"
        yield Finding("cluster", "problem", found, "run mouthpiece head on the machine with that address")
    else:
        yield Finding("cluster", "good", f"the head responds at {settings.ray_address}, and a token is set")
