"""The studio: the page at ``/`` and its scripts, static files of the package."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from app.api.whole_file import WholeFile, without_range

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

router = APIRouter(include_in_schema=False)


def mount(app: FastAPI) -> None:
    """Add the page and its files to the application. They need no key: nothing of the service is in them."""
    app.include_router(router)
    app.mount("/studio", _Files(directory=FOLDER), name="studio")


@router.get("/")
async def page() -> Response:
    """Give the page."""
    return WholeFile(FOLDER / "index.html", headers=HEADERS)


class _Files(StaticFiles):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(without_range(scope), receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS | {"Accept-Ranges": "none"})
        return response
