"""Requests become such as the routes know: HEAD wherever there is GET, no slash at a path's end.

Neither needs a route of its own, and no client is sent elsewhere with its body in hand.
"""

from anyio import CancelScope
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestNormalizer:
    """Middleware in front of the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as the routes know it."""
        if scope["type"] == "http":
            scope["path"] = scope["path"].rstrip("/") or "/"
        if scope["type"] == "http" and scope["method"] == "HEAD" and not _has_head(scope):
            await self._head(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as GET is answered, up to the body, however long that would be."""
        with CancelScope() as answering:

            async def only_head(message: Message) -> None:
                if answering.cancel_called:
                    return
                if message["type"] == "http.response.body":
                    await send({"type": "http.response.body"})
                    answering.cancel()
                else:
                    await send(message)

            scope["method"] = "GET"
            try:
                await self._app(scope, receive, only_head)
            finally:
                scope["method"] = "HEAD"


def _has_head(scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].router.routes)
