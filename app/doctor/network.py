"""Checks of the port, the cluster and PostgreSQL. They yield findings and raise nothing."""

import http.client
import importlib.util
import os
import socket
import urllib.request
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.doctor.finding import Finding
from app.errors import MouthpieceError
from app.extras import install_command
from app.jobs.schema import postgresql_engine
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
        remedy = install_command("mouthpiece[cluster]")
        yield Finding("cluster", "problem", "MOUTHPIECE_RAY_ADDRESS is set, but Ray is not installed", remedy)
        return
    try:
        check_token()
    except MouthpieceError as error:
        if os.environ.get("RAY_AUTH_MODE", "token") != "token":
            remedy = "unset RAY_AUTH_MODE"
        else:
            remedy = "export RAY_AUTH_TOKEN=the head's; for a new cluster: $(openssl rand -hex 32)"
        yield Finding("cluster", "problem", error.detail, remedy)
        return
    try:
        socket.create_connection(settings.ray_head, timeout=3).close()
    except OSError as error:
        found = f"no head responds at {settings.ray_address} ({error})"
        yield Finding("cluster", "problem", found, "run mouthpiece head on the machine with that address")
    else:
        yield Finding("cluster", "good", f"the head responds at {settings.ray_address}, and a token is set")


def database(settings: Settings) -> Iterator[Finding]:
    """Say whether PostgreSQL answers, if it is to hold the jobs; an SQLite file is part of its volume."""
    if settings.database_url is None:
        return
    try:
        engine = postgresql_engine(settings.database_url.get_secret_value())
        with engine.connect() as connection:
            connection.execute(select(1))
        engine.dispose()
    except ImportError as error:
        remedy = install_command("mouthpiece[cluster]")
        yield Finding("database", "problem", f"MOUTHPIECE_DATABASE_URL is set, but: {error}", remedy)
    except SQLAlchemyError as error:
        found = f"PostgreSQL cannot be used: {str(getattr(error, 'orig', error)).strip()}"
        yield Finding("database", "problem", found, "start PostgreSQL, or correct MOUTHPIECE_DATABASE_URL")
    else:
        yield Finding("database", "good", "PostgreSQL responds")
