import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.shutdown import ShutdownResponder

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def cut_off(*, begun: bool) -> list[Message]:
    """Return what is sent by a request that is cancelled while it waits for its body."""
    sent: list[Message] = []
    waiting = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        waiting.set()
        await receive()

    async def receive() -> Message:
        return await asyncio.Future[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    request = asyncio.create_task(ShutdownResponder(application)({"type": "http"}, receive, send))
    await waiting.wait()
    request.cancel()
    await asyncio.wait([request])
    assert request.cancelled() is begun
    return sent


async def test_a_request_that_is_cut_off_is_answered_503() -> None:
    start, body = await cut_off(begun=False)
    assert start["status"] == 503
    assert (b"retry-after", b"5") in start["headers"]
    assert b"shutting-down" in body["body"]


async def test_a_response_that_has_begun_is_cut_off() -> None:
    assert [message["type"] for message in await cut_off(begun=True)] == ["http.response.start"]
