import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from app.api import event_stream
from app.api.event_stream import EventStream
from app.jobs.job import Job
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_stream_without_news_is_pinged_and_let_go_when_its_client_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.01)
    sent: list[Message] = []
    gone, closed = asyncio.Event(), asyncio.Event()

    async def news() -> AsyncGenerator[Job, None]:
        try:
            await asyncio.Event().wait()
            yield  # type: ignore[misc]
        finally:
            closed.set()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 3:
            gone.set()

    await asyncio.wait_for(EventStream(news())({"type": "http"}, receive, send), DEADLINE)
    assert [message.get("body") for message in sent[:3]] == [None, b": ping\n\n", b": ping\n\n"]
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert closed.is_set()
