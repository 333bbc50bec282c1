"""Shutting down: whoever is cut off by it is told so, and not that the service has failed."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import error_response
from app.errors import ShuttingDown

_DETAIL: Final = "The service is stopping, and the request was not complete; send it again in a few seconds."


class ShutdownResponder:
    """Middleware that answers requests which the server cancels, as it does when its time to stop is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            await error_response(ShuttingDown(_DETAIL))(scope, receive, send)
