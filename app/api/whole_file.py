"""Small files, which are sent whole: a server need not know ranges (RFC 9110, section 14.2)."""

from collections.abc import Mapping
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send


class WholeFile(FileResponse):
    """A file that is sent whole, whatever range of it is asked for, and however."""

    def __init__(
        self, path: Path, *, media_type: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(path, media_type=media_type, headers={"Accept-Ranges": "none"} | dict(headers or {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        await super().__call__(without_range(scope), receive, send)


def without_range(scope: Scope) -> Scope:
    """Return the scope of a request as if no range had been asked for."""
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
