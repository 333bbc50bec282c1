"""Admission control: requests that come together begin one after the other, and hold up no health check."""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.connections import PROBES


class AdmissionQueue:
    """ASGI middleware, the outermost: lets one request begin in each turn of the event loop.

    A request takes about a millisecond of the loop's time in several steps. Several hundred that arrive
    together would take their first step in one turn, and everybody else would wait for all of them. Probes
    are not held up.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when it is its turn."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            await self._turn()
        await self._app(scope, receive, send)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._turning:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._turning = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        """Let the next one begin, unless it has given up; in the next turn the one after it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._turning = False
