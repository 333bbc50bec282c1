"""The studio: the page at ``/`` and its scripts, static files of the package."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

FOLDER: Final = Path(__file__).parent.parent / "web"

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""Only the service's own addresses; blobs are what the page has recorded, or fetched with a key."""

WHOLE: Final = {"Accept-Ranges": "none"}
"""Its files are small and sent whole: a server need not know ranges (RFC 9110, section 14.2)."""

router = APIRouter(include_in_schema=False)


def mount(app: FastAPI) -> None:
    """Add the page and its files to the application. They need no key: nothing of the service is in them."""
    app.include_router(router)
    app.mount("/studio", _Files(directory=FOLDER), name="studio")


@router.get("/")
async def page() -> Response:
    """Give the page."""
    return _Page(FOLDER / "index.html", headers=HEADERS | WHOLE)


class _Page(FileResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(_without_range(scope), receive, send)


class _Files(StaticFiles):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(_without_range(scope), receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS | WHOLE)
        return response


def _without_range(scope: Scope) -> Scope:
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
