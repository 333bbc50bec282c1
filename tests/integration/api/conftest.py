from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import app.backend
import app.main
from app.settings import Settings
from app.workers.local import LocalPool
from tests.support.databases import put_fresh
from tests.support.scripted_pool import ScriptedPool
from tests.support.scripted_worker import ScriptedWorker
from tests.support.waiting import script

Start = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(application: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Run an application's lifespan, and give a client that reaches it without a network."""
    async with application.router.lifespan_context(application) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = dict(state or {})
            await application(scope, receive, send)

        transport = httpx.ASGITransport(with_state, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start services whose worker follows a script; settings are given by name."""
    monkeypatch.setattr(app.main, "configure_logs", lambda *_: None)  # the log is pytest's here
    monkeypatch.setattr(app.backend, "LocalPool", ScriptedPool)
    put_fresh(tmp_path / "data" / "jobs.sqlite3")
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> httpx.AsyncClient:
            folders = {"data_dir": tmp_path / "data", "avatars_dir": tmp_path / "avatars"}
            model = {"model": tmp_path / "fine.onnx"}
            given = Settings(**folders | model | {"log_level": "error"} | settings)
            return await stack.enter_async_context(serving(app.main.create_app(given)))

        yield start


@pytest.fixture
def worker_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the worker of the services be a process of its own, which may crash and hang."""
    monkeypatch.setattr(app.backend, "LocalPool", partial(LocalPool, command=script(ScriptedWorker)))
